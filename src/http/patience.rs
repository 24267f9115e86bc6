//! How long others may take, and how many of them at once: who is slow stands in a line of their own and is cut off in the end,
//! so that nobody else waits for them and what they make us keep is bounded.
//!
//! | who is slow | what bounds it |
//! |---|---|
//! | sends the head of a request | `head_seconds`, by the HTTP library; its buffer is bounded there too |
//! | sends a body | `body_seconds` ([`arrived`]); half as many at once as requests may be under way |
//! | sends a bank file | each [`STEP`] of it within `body_seconds`; the same line |
//! | takes an answer | each part of it within `answer_seconds` ([`Parts`]) |
//! | takes nothing at all | the system ends the connection after `answer_seconds` ([`cut_off`]) |

use super::problem::Refusal;
use super::server::State;
use actix_web::body::{BodySize, MessageBody};
use actix_web::{rt, web};
use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A body that has come within this is nobody's burden.
const AT_ONCE: Duration = Duration::from_millis(250);
/// How much of a file must come within the time that is given for its next part.
pub(super) const STEP: usize = 64 << 10;
/// Bytes of an answer that are handed on at once.
const PART: usize = 16 << 10;

/// One of those who are slow, for as long as they send.
pub(super) struct Slow(Arc<State>);

impl Slow {
    pub(super) fn begin(state: &Arc<State>) -> Result<Slow, Refusal> {
        let most = usize::try_from(state.settings.server.requests_at_once).unwrap_or(usize::MAX).div_ceil(2);
        let counted = Slow(Arc::clone(state));
        if state.slow.fetch_add(1, Ordering::Relaxed) >= most { Err(Refusal::ServerFull) } else { Ok(counted) }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.slow.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What arrives, for which it is waited as long as the line of those who are slow has room.
pub(super) async fn arrived<T>(state: &Arc<State>, arriving: impl Future<Output = T>) -> Result<T, Refusal> {
    let mut arriving = std::pin::pin!(arriving);
    if let Ok(arrived) = rt::time::timeout(AT_ONCE, &mut arriving).await {
        return Ok(arrived);
    }
    let _slow = Slow::begin(state)?;
    Ok(arriving.await)
}

/// An answer that leaves in parts: the next one is handed on when the one before has left us, and in time.
pub(super) struct Parts {
    left: web::Bytes,
    since: Instant,
    slowest: Duration,
}

impl Parts {
    pub(super) fn of(bytes: web::Bytes, slowest: Duration) -> Parts {
        Parts { left: bytes, since: Instant::now(), slowest }
    }
}

impl MessageBody for Parts {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(u64::try_from(self.left.len()).unwrap_or(u64::MAX))
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, std::io::Error>>> {
        let now = Instant::now();
        if now.saturating_duration_since(self.since) > self.slowest {
            return Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into())));
        }
        self.since = now;
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let next = self.left.len().min(PART);
        Poll::Ready(Some(Ok(self.left.split_to(next))))
    }
}

/// Lets the system end a connection whose other side takes nothing for so long: no answer is written meanwhile, so nothing here
/// would ever notice. Linux does; elsewhere such a connection stays until its other side goes.
pub(super) fn cut_off(io: &dyn Any, after: Duration) {
    #[cfg(target_os = "linux")]
    if let Some(stream) = io.downcast_ref::<rt::net::TcpStream>() {
        let milliseconds = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        // A connection that cannot be told so has ended already.
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (io, after);
}
