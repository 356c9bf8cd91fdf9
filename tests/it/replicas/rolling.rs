//! Every gateway is replaced, one after the other, while users log in, refresh and log out through whichever is up:
//! what was logged out stays so, in the first moment of a new process too, what is good goes on, and what an old
//! process has begun it finishes.

use std::{
    collections::HashSet,
    sync::{Condvar, MutexGuard, PoisonError},
};

use super::*;

/// What everybody sees of one gateway.
#[derive(Clone, Copy, Debug)]
struct Door {
    address: SocketAddr,
    /// Which process it is, of those that stood here.
    process: usize,
    /// Before it began to read the log.
    started: Instant,
    /// Told to stop, or gone: whether it answers is chance.
    is_leaving: bool,
}

/// Whom a logout has ended.
struct Dead {
    token: String,
    /// When the 200 was there.
    since: Instant,
    /// The process that gave it.
    by: (usize, usize),
}

/// What all threads share.
struct Traffic {
    doors: [Mutex<Door>; 3],
    dead: Mutex<Vec<Arc<Dead>>>,
    /// The longest that an answer took here: how slow this machine is.
    slowest: Mutex<Duration>,
    done: AtomicBool,
    /// Users' lives, from login to logout.
    lives: AtomicUsize,
    refused: AtomicUsize,
}

/// Asks gateways in turn, each user from another one on.
struct Client<'t> {
    traffic: &'t Traffic,
    turn: usize,
}

impl Traffic {
    fn door(&self, at: usize) -> Door {
        *lock(&self.doors[at])
    }

    /// `None` where the gateway was told to stop meanwhile. One that was not has to answer.
    fn ask(
        &self,
        at: usize,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Option<(Door, Answer)> {
        let before = self.door(at);
        if before.is_leaving {
            return None;
        }
        let line = token.map(bearer).unwrap_or_default();
        let mut lines = vec!["Content-Type: application/json", "Connection: close"];
        lines.extend(token.map(|_| line.as_str()));
        let body = body.map(Value::to_string);
        let method = if body.is_some() { "POST" } else { "GET" };
        let began = Instant::now();
        let answer =
            send(before.address, &request(method, path, &lines, body.unwrap_or_default().as_bytes()));
        let after = self.door(at);
        let stayed = after.process == before.process && !after.is_leaving;
        assert!(answer.is_some() || !stayed, "gateway {at} is up and does not answer {path}");
        if stayed {
            let mut slowest = lock(&self.slowest);
            *slowest = slowest.max(began.elapsed());
        }
        answer.map(|answer| (before, answer))
    }

    fn logged_out(&self, pair: &Pair, at: usize, door: Door) {
        let by = (at, door.process);
        let dead = Dead { token: pair.access.clone(), since: Instant::now(), by };
        lock(&self.dead).push(Arc::new(dead));
    }

    /// Tries what is dead at one gateway, whichever process stands there, without pause.
    fn try_dead_tokens(&self, at: usize) {
        let mut known = HashSet::new();
        while !self.done.load(Ordering::SeqCst) {
            let dead = {
                let all = lock(&self.dead);
                // The first one for ever, and the last ones, of which somebody may not have heard.
                let last = all.len().saturating_sub(8).max(1);
                all.first()
                    .into_iter()
                    .chain(all.get(last..).into_iter().flatten())
                    .cloned()
                    .collect::<Vec<_>>()
            };
            for dead in dead {
                let began = Instant::now();
                let Some((door, answer)) = self.ask(at, "/x", Some(&dead.token), None) else { continue };
                let process = (at, door.process);
                if answer.status == 401 {
                    known.insert((dead.token.clone(), door.process));
                    self.refused.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                assert_eq!(answer.status, 200);
                // A second is promised, to whom it may take so long to ask.
                let promised = dead.since + Duration::from_secs(1) + 2 * *lock(&self.slowest);
                assert!(process != dead.by, "accepted where it was logged out");
                assert!(door.started < dead.since, "accepted by a process that was started since");
                assert!(!known.contains(&(dead.token.clone(), door.process)), "accepted again");
                assert!(began < promised, "accepted {:?} after its logout", began - dead.since);
            }
        }
    }

    /// One user, who comes and goes.
    fn live(&self, number: usize) {
        let name = format!("user{number}");
        let mut client = Client { traffic: self, turn: number };
        // No user may log in more often.
        for _ in 0..90 {
            if self.done.load(Ordering::SeqCst) {
                return;
            }
            let (_, _, answer) = client.ask("/api/auth/login/", None, Some(&credentials(&name)));
            let first = pair(&answer, 200);
            client.opens(&first);
            let body = json!({"refresh": first.refresh});
            let (_, _, answer) = client.ask("/api/auth/token/refresh/", None, Some(&body));
            let second = pair(&answer, 200);
            client.opens(&first);
            client.opens(&second);
            // Once: whether one without an answer has happened nobody knows.
            let at = client.next();
            let Some((door, answer)) =
                self.ask(at, "/api/auth/logout/", Some(&second.access), Some(&json!({})))
            else {
                continue;
            };
            assert_eq!(answer.status, 200, "{}", answer.text());
            self.logged_out(&first, at, door);
            self.logged_out(&second, at, door);
            // The store knows at once, whoever asks it.
            let body = json!({"refresh": second.refresh});
            let (_, _, answer) = client.ask("/api/auth/token/refresh/", None, Some(&body));
            assert_eq!(answer.status, 401, "{}", answer.text());
            self.lives.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Client<'_> {
    fn next(&mut self) -> usize {
        self.turn += 1;
        self.turn % 3
    }

    /// Asks one after the other until one answers.
    fn ask(&mut self, path: &str, token: Option<&str>, body: Option<&Value>) -> (usize, Door, Answer) {
        for _ in 0..1000 {
            let at = self.next();
            if let Some((door, answer)) = self.traffic.ask(at, path, token, body) {
                return (at, door, answer);
            }
            thread::yield_now();
        }
        panic!("nobody answers");
    }

    fn opens(&mut self, pair: &Pair) {
        let (at, _, answer) = self.ask("/x", Some(&pair.access), None);
        assert_eq!(answer.status, 200, "a good token at gateway {at}: {}", answer.text());
    }
}

#[test]
fn a_rolling_restart_under_load_disturbs_nobody_and_lets_no_revoked_token_in() {
    let database = Server::shared().database();
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::start({
        let gate = Arc::clone(&gate);
        move |seen, stream| {
            if seen.request_line().starts_with("GET /slow ") {
                gate.wait();
            }
            ok(stream, "seen")
        }
    });
    let mut replicas = Replicas::before(upstream, |_| vec![format!("url = \"{}\"", database.url()); 3]);
    for user in 0..USERS {
        replicas.register(&format!("user{user}"));
    }
    replicas.register("ada");
    let living = replicas.login(0, "ada");
    let started = Instant::now();
    let door = |gateway: &Replica| Door { address: gateway.address, process: 0, started, is_leaving: false };
    let traffic = Traffic {
        doors: std::array::from_fn(|at| Mutex::new(door(&replicas.gateways[at]))),
        dead: Mutex::default(),
        slowest: Mutex::default(),
        done: AtomicBool::new(false),
        lives: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    };
    thread::scope(|scope| {
        let last = Stop(&traffic.done);
        let mut threads = Vec::new();
        threads.extend((0..USERS).map(|number| {
            scope.spawn({
                let traffic = &traffic;
                move || traffic.live(number)
            })
        }));
        threads.extend((0..3).map(|at| {
            scope.spawn({
                let traffic = &traffic;
                move || traffic.try_dead_tokens(at)
            })
        }));
        for at in 0..3 {
            let goes_on = |what: &str| {
                let before = (traffic.lives.load(Ordering::SeqCst), traffic.refused.load(Ordering::SeqCst));
                within(PATIENCE, what, || {
                    assert!(
                        threads.iter().all(|thread| !thread.is_finished()),
                        "{what}: somebody has failed"
                    );
                    let (lives, refused) = (&traffic.lives, &traffic.refused);
                    lives.load(Ordering::SeqCst) > before.0 + 3
                        && refused.load(Ordering::SeqCst) > before.1 + 20
                });
            };
            goes_on("before a gateway is replaced");
            replicas.replace(at, &traffic, &gate, &living);
            goes_on("after a gateway was replaced");
        }
        drop(last);
    });
    // And at the end, of everybody who has ever left.
    for dead in lock(&traffic.dead).iter() {
        replicas.dead_everywhere(&dead.token, "at the end");
    }
    replicas.alive_everywhere(&living.access);
}

impl Replicas {
    /// One process goes, with a request in flight, and the next one comes.
    fn replace(&mut self, at: usize, traffic: &Traffic, gate: &Gate, living: &Pair) {
        let address = self.gateways[at].address;
        gate.close();
        let line = bearer(&living.access);
        let bytes = request("GET", "/slow", &[&line, "Connection: close"], b"");
        let in_flight = thread::spawn(move || send(address, &bytes));
        gate.wait_for_one();
        lock(&traffic.doors[at]).is_leaving = true;
        let old = self.gateways[at].process.take().unwrap();
        old.signal("-TERM");
        eventually("it takes no more", || TcpStream::connect(address).is_err());
        gate.open();
        let answer = in_flight.join().unwrap().expect("a request in flight is answered");
        assert_eq!((answer.status, answer.text(), answer.whole), (200, "seen", true));
        assert_eq!(old.wait().0, 0);

        let started = Instant::now();
        let replica = &mut self.gateways[at];
        replica.start_again();
        let mut door = lock(&traffic.doors[at]);
        *door = Door { address: replica.address, process: door.process + 1, started, is_leaving: false };
    }
}

/// Holds answers back while it is closed.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    is_closed: bool,
    waiting: usize,
}

impl Gate {
    fn close(&self) {
        lock(&self.state).is_closed = true;
    }

    fn open(&self) {
        lock(&self.state).is_closed = false;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut state = lock(&self.state);
        state.waiting += 1;
        self.changed.notify_all();
        let (mut state, _) =
            self.changed.wait_timeout_while(state, PATIENCE, |state| state.is_closed).unwrap();
        state.waiting -= 1;
    }

    fn wait_for_one(&self) {
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| state.waiting == 0).unwrap();
        assert!(!waited.1.timed_out(), "the upstream is not asked");
    }
}

/// Also behind somebody who has failed: the failure that is told shall be the first one's.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const USERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);
