use std::sync::atomic::AtomicUsize;

use super::*;

#[tokio::test(flavor = "local")]
async fn addresses_are_themselves_and_names_are_looked_up() {
    let of = async |host| Names::new(host, 80, Names::system()).addresses().await.map(|found| found.list);
    assert_eq!(*of("192.0.2.1").await.unwrap(), ["192.0.2.1:80".parse().unwrap()]);
    assert_eq!(*of("2001:db8::1").await.unwrap(), ["[2001:db8::1]:80".parse().unwrap()]);
    assert!(of("localhost").await.unwrap().iter().all(|address| address.ip().is_loopback()));
    assert!(of("a name with blanks").await.is_err());
}

/// A system that gives these answers, one after the other; `None` fails.
fn system(answers: &'static [Option<&'static [u16]>]) -> (Arc<Names>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let look_up: LookUp = Arc::new(move |host, port| {
        assert_eq!((host, port), ("backend", 1));
        let answer = answers.get(counted.fetch_add(1, Ordering::SeqCst)).copied().flatten();
        let addresses = |ports: &[u16]| ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect();
        answer.map(addresses).ok_or_else(|| io::Error::other("no such name"))
    });
    (Names::new("backend", 1, look_up), asked)
}

async fn ports(names: &Arc<Names>) -> Result<Vec<u16>, String> {
    let found = names.addresses().await.map_err(|error| error.to_string())?;
    Ok(found.list.iter().map(SocketAddr::port).collect())
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_answer_is_used_for_some_seconds_and_asked_for_again() {
    let (names, asked) = system(&[Some(&[1, 2]), Some(&[2, 1]), Some(&[2, 3])]);
    assert_eq!(ports(&names).await, Ok(vec![1, 2]));
    tokio::time::advance(Duration::from_millis(4900)).await;
    assert_eq!(ports(&names).await, Ok(vec![1, 2]));
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    tokio::time::advance(Duration::from_millis(200)).await;
    assert_eq!(ports(&names).await, Ok(vec![2, 1]));
    assert_eq!(names.generation(), 0, "another order is no change");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(ports(&names).await, Ok(vec![2, 3]));
    assert_eq!((names.generation(), asked.load(Ordering::SeqCst)), (1, 3));
    assert!(names.contains(([127, 0, 0, 1], 3).into()) && !names.contains(([127, 0, 0, 1], 1).into()));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_failure_is_bridged_for_a_while_and_no_longer() {
    let (names, asked) = system(&[Some(&[1])]);
    assert_eq!(ports(&names).await, Ok(vec![1]));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(ports(&names).await, Ok(vec![1]));
    // A failure stands for a moment, too.
    assert_eq!(ports(&names).await, Ok(vec![1]));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    tokio::time::advance(Duration::from_secs(53)).await;
    assert_eq!(ports(&names).await, Ok(vec![1]));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(ports(&names).await, Err("no such name".to_owned()));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_name_that_comes_back_is_found() {
    let (names, _) = system(&[None, Some(&[]), Some(&[1])]);
    assert_eq!(ports(&names).await, Err("no such name".to_owned()));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(ports(&names).await, Err("the name has no address".to_owned()));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(ports(&names).await, Ok(vec![1]));
}

#[tokio::test(flavor = "local")]
async fn a_resolver_that_hangs_is_asked_once_and_bridged() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let counted = Arc::clone(&asked);
    let look_up: LookUp = Arc::new(move |_, port| {
        if counted.fetch_add(1, Ordering::SeqCst) > 0 {
            let _ = held.lock().unwrap().recv();
        }
        Ok(vec![([127, 0, 0, 1], port).into()])
    });
    let names = Names::new("backend", 1, look_up);
    assert_eq!(ports(&names).await, Ok(vec![1]));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    // The first one waits a moment, the next one not at all.
    assert_eq!(ports(&names).await, Ok(vec![1]));
    let started = Instant::now();
    assert_eq!(ports(&names).await, Ok(vec![1]));
    assert!(started.elapsed() < PATIENCE / 2);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    drop(release);
}
