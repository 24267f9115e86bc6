//! Who waits for commits is told of each one that this process has sealed, at once.
//!
//! A telling carries nothing: whoever hears it reads what is new, from where they stand. So a telling that is missed costs a
//! moment and never an event, and those of other processes are found by looking again after a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

type Listener = dyn Fn() + Send + Sync;

/// Tells of commits.
#[derive(Default)]
pub struct Commits {
    /// Seals of this process since it opened the database.
    count: Mutex<u64>,
    sealed: Condvar,
    listeners: Mutex<Vec<Weak<Listener>>>,
    /// So that the writer does not take the lock of listeners when there are none.
    listening: AtomicU64,
}

/// What [`Commits::listen`] was given: as long as this is kept, it is called.
pub struct Listening {
    _listener: Arc<Listener>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Commits {
    /// The writer has sealed a commit.
    pub(super) fn tell(&self) {
        *lock(&self.count) += 1;
        self.sealed.notify_all();
        if self.listening.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| match listener.upgrade() {
            Some(listener) => {
                listener();
                true
            }
            None => false,
        });
        self.listening.store(listeners.len() as u64, Ordering::Release);
    }

    /// How many there were: what [`Commits::wait`] goes on from. Ask before reading, so that nothing falls between.
    pub fn count(&self) -> u64 {
        *lock(&self.count)
    }

    /// Waits until there were more than `seen`, or for so long; gives how many there were.
    pub fn wait(&self, seen: u64, longest: Duration) -> u64 {
        let waited = self.sealed.wait_timeout_while(lock(&self.count), longest, |count| *count <= seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes everybody who waits, with nothing new: to stop.
    pub fn wake(&self) {
        self.tell();
    }

    /// Calls this after each commit, from the writer's thread: it must neither wait nor fail.
    pub fn listen(&self, listener: impl Fn() + Send + Sync + 'static) -> Listening {
        let listener: Arc<Listener> = Arc::new(listener);
        let mut all = lock(&self.listeners);
        all.push(Arc::downgrade(&listener));
        self.listening.store(all.len() as u64, Ordering::Release);
        Listening { _listener: listener }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_at_once_and_who_listens_is_called_as_long_as_they_listen() {
        let commits = Arc::new(Commits::default());
        let called = Arc::new(AtomicU64::new(0));
        let listening = commits.listen({
            let called = Arc::clone(&called);
            move || {
                called.fetch_add(1, Ordering::Relaxed);
            }
        });
        let seen = commits.count();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| commits.wait(seen, Duration::from_secs(60)));
            commits.tell();
            assert_eq!(waiter.join().unwrap(), 1);
        });
        drop(listening);
        commits.tell();
        assert_eq!((commits.count(), called.load(Ordering::Relaxed)), (2, 1));
        assert_eq!(commits.wait(2, Duration::from_millis(1)), 2, "nobody told");
    }
}
