//! How much one principal may ask: a bucket of tokens each, which fills with time. Kept in memory, by this server alone: it
//! protects the server, and is no account of anything.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Principals that are remembered at most; a full bucket is forgotten first, since a new one is full as well.
const REMEMBERED: usize = 20_000;

/// One request, in the unit of buckets: what fills them in a microsecond at one request a second is one.
const ONE: u64 = 1_000_000;

/// The buckets of all principals.
pub(super) struct Limits {
    per_second: u64,
    burst: u64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    tokens: u64,
    at: Instant,
}

impl Limits {
    /// `per_second` of 0: no limit.
    pub(super) fn new(per_second: u32, burst: u32) -> Limits {
        Limits { per_second: u64::from(per_second), burst: u64::from(burst.max(1)), buckets: Mutex::default() }
    }

    /// Takes one request's token; else after how many seconds there will be one.
    pub(super) fn take(&self, principal: &str, now: Instant) -> Result<(), u64> {
        if self.per_second == 0 {
            return Ok(());
        }
        let full = self.burst.saturating_mul(ONE);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(principal) {
            buckets.retain(|_, bucket| self.filled(bucket, now) < full);
            if buckets.len() >= REMEMBERED {
                return Err(1);
            }
        }
        if !buckets.contains_key(principal) {
            buckets.insert(principal.to_owned(), Bucket { tokens: full, at: now });
        }
        let Some(bucket) = buckets.get_mut(principal) else { return Ok(()) };
        let tokens = self.filled(bucket, now);
        if tokens < ONE {
            return Err((ONE - tokens).div_ceil(self.per_second.saturating_mul(ONE)).max(1));
        }
        *bucket = Bucket { tokens: tokens - ONE, at: now };
        Ok(())
    }

    /// Whether a token is left, which stays there.
    pub(super) fn has(&self, principal: &str, now: Instant) -> bool {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        self.per_second == 0 || buckets.get(principal).is_none_or(|bucket| self.filled(bucket, now) >= ONE)
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> u64 {
        let passed = u64::try_from(now.saturating_duration_since(bucket.at).as_micros()).unwrap_or(u64::MAX);
        let full = self.burst.saturating_mul(ONE);
        bucket.tokens.saturating_add(passed.saturating_mul(self.per_second)).min(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_and_fills_for_each_principal_by_itself() {
        let limits = Limits::new(10, 3);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limits.take("key:a", start), Ok(()));
        }
        assert_eq!(limits.take("key:a", start), Err(1));
        assert_eq!(limits.take("key:b", start), Ok(()));
        assert!(!limits.has("key:a", start) && limits.has("key:b", start) && limits.has("key:c", start));
        assert_eq!(limits.take("key:a", start + Duration::from_millis(99)), Err(1));
        assert_eq!(limits.take("key:a", start + Duration::from_millis(100)), Ok(()));
        assert_eq!(Limits::new(0, 0).take("key:a", start), Ok(()));
    }
}
