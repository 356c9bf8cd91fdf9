//! The threads that hash passwords, and the bounded queue before them.
//!
//! Never here: what a hash looks like (`argon`), who asks, and how often they may (`auth`).

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use tokio::sync::oneshot;

use super::{
    argon::{self, Memory},
    policy::Weakness,
    settings::Settings,
};
use crate::{
    clock::Stopwatch,
    metrics::Metrics,
    secret::{ExposeSecret, SecretText},
};

/// Hashes and checks passwords on threads of its own. A cheap handle.
///
/// As many threads as cores, each with its own argon2 memory, and a bounded queue before them: a storm of logins
/// slows logins and nothing else. The threads end with the last handle.
#[derive(Clone, Debug)]
pub struct Passwords {
    queue: SyncSender<Job>,
    settings: Arc<Settings>,
    metrics: Metrics,
}

/// Why a password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The hash could not be computed.
    #[error("the password could not be hashed")]
    Failed,
    /// Too many hashes are waiting.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
}

enum Job {
    Hash { password: SecretText, answer: oneshot::Sender<Option<String>> },
    Verify { password: SecretText, stored: Option<String>, answer: oneshot::Sender<bool> },
}

impl Passwords {
    /// Starts the threads: one a core, as a rule.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn start(settings: Settings, threads: NonZeroUsize, metrics: Metrics) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(settings.queue.max(1));
        let jobs = Arc::new(Mutex::new(jobs));
        for index in 0..threads.get() {
            let (jobs, metrics) = (Arc::clone(&jobs), metrics.clone());
            thread::Builder::new().name(format!("password-{index}")).spawn(move || work(&jobs, &metrics))?;
        }
        Ok(Self { queue, settings: Arc::new(settings), metrics })
    }

    /// Judges a new password.
    ///
    /// # Errors
    /// What is weak about it.
    pub fn judge(&self, password: &SecretText) -> Result<(), Weakness> {
        self.settings.judge(password.expose_secret())
    }

    /// Hashes a new password, as PHC text.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`] at once when the queue is full.
    pub async fn hash(&self, password: SecretText) -> Result<String, PasswordError> {
        let (answer, hashed) = oneshot::channel();
        self.send(Job::Hash { password, answer })?;
        hashed.await.ok().flatten().ok_or(PasswordError::Failed)
    }

    /// Whether `stored` is a hash of `password`. With no hash to compare, an unknown user's, the same work is
    /// done and the answer is no.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`] at once when the queue is full.
    pub async fn verify(&self, password: SecretText, stored: Option<String>) -> Result<bool, PasswordError> {
        let (answer, verified) = oneshot::channel();
        self.send(Job::Verify { password, stored, answer })?;
        verified.await.map_err(|_| PasswordError::Failed)
    }

    fn send(&self, job: Job) -> Result<(), PasswordError> {
        self.metrics.hash_queue.increment();
        self.queue.try_send(job).map_err(|error| {
            self.metrics.hash_queue.decrement();
            self.metrics.hashes_refused.increment();
            match error {
                TrySendError::Full(_) => PasswordError::Overloaded,
                TrySendError::Disconnected(_) => PasswordError::Failed,
            }
        })
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, metrics: &Metrics) {
    let mut memory = Memory::default();
    loop {
        // The lock is held while waiting: one thread waits at the channel, the others at the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        metrics.hash_queue.decrement();
        let started = Stopwatch::start();
        match job {
            Job::Hash { password, answer } => {
                let hashed = argon::hash(password.expose_secret().as_bytes(), &mut memory).ok();
                metrics.hash_duration.observe(started.elapsed());
                // Whoever asked may be gone.
                let _gone = answer.send(hashed);
            }
            Job::Verify { password, stored, answer } => {
                let password = password.expose_secret().as_bytes();
                let matched = match stored {
                    Some(stored) => argon::matches(password, &stored, &mut memory),
                    None => {
                        // The work of a check without the chance of a match.
                        drop(argon::hash(password, &mut memory));
                        false
                    }
                };
                metrics.hash_duration.observe(started.elapsed());
                let _gone = answer.send(matched);
            }
        }
    }
}
