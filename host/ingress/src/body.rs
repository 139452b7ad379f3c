//! Reading bodies: not too large, not too slow, and not too many at once.

use std::{
    fmt::Display,
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::CONTENT_LENGTH};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};

use crate::{BodyLimits, problem::Problem};

/// The room that all bodies of a server share.
#[derive(Debug)]
pub struct BodyRoom {
    limits: BodyLimits,
    used: AtomicUsize,
}

/// A body in memory, and the room that it takes there until it is dropped.
#[derive(Debug)]
pub struct HeldBody {
    /// The body.
    pub bytes: Bytes,
    held: Held,
}

#[derive(Debug)]
struct Held {
    room: Arc<BodyRoom>,
    size: usize,
}

impl BodyRoom {
    /// Room within these limits.
    pub fn new(limits: &BodyLimits) -> Arc<Self> {
        Arc::new(Self { limits: limits.clone(), used: AtomicUsize::new(0) })
    }

    /// Reads a whole body of at most so many bytes.
    ///
    /// # Errors
    /// `413` if it is larger, `408` if it is too slow, `503` if too many bodies
    /// are in memory already, `400` if it breaks off.
    pub async fn read<B: Body<Data = Bytes, Error: Display> + Unpin>(
        self: &Arc<Self>,
        headers: &HeaderMap,
        mut body: B,
        bytes_max: usize,
    ) -> Result<HeldBody, Problem> {
        let mut held = Held { room: Arc::clone(self), size: 0 };
        if body.is_end_stream() {
            return Ok(HeldBody { bytes: Bytes::new(), held });
        }
        // Refused before a byte of it is read, and before `100 Continue`.
        if let Some(announced) = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()) {
            let fits = announced.parse().is_ok_and(|size: usize| size <= bytes_max);
            if !fits {
                return Err(too_large(bytes_max));
            }
        }
        let mut whole = Gathered::Nothing;
        let mut pace = Pace { limits: &self.limits, began: None };
        while let Some(frame) = pace.next(&mut body, held.size).await? {
            // Trailers say nothing to us.
            let Ok(data) = frame.into_data() else { continue };
            if held.size.saturating_add(data.len()) > bytes_max {
                return Err(too_large(bytes_max));
            }
            held.grow(data.len())?;
            whole = whole.and(data);
        }
        Ok(HeldBody { bytes: whole.into_bytes(), held })
    }
}

impl HeldBody {
    /// The body with other bytes, made from it, which take no further room.
    #[must_use]
    pub fn replaced(self, bytes: Bytes) -> Self {
        Self { bytes, held: self.held }
    }
}

impl Held {
    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let total = self.room.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.size += bytes;
        if total > self.room.limits.total_bytes_max {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too-many-bodies",
                "the bodies of other requests take all the room there is for them",
            )
            .retry_after_ms(1_000));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.size > 0 {
            self.room.used.fetch_sub(self.size, Ordering::Relaxed);
        }
    }
}

/// Parts of a body. The first is kept as it came, as it mostly is the only one.
enum Gathered {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    fn and(self, data: Bytes) -> Self {
        match self {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let mut all = BytesMut::with_capacity((first.len() + data.len()) * 2);
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                Self::Many(all)
            }
            Self::Many(mut all) => {
                all.extend_from_slice(&data);
                Self::Many(all)
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

/// How fast a body comes. There is no timer until it makes us wait.
struct Pace<'a> {
    limits: &'a BodyLimits,
    began: Option<Instant>,
}

impl Pace<'_> {
    async fn next<B: Body<Data = Bytes, Error: Display> + Unpin>(
        &mut self,
        body: &mut B,
        received: usize,
    ) -> Result<Option<Frame<Bytes>>, Problem> {
        let mut frame = std::pin::pin!(body.frame());
        let at_once = poll_fn(|context| Poll::Ready(frame.as_mut().poll(context))).await;
        let frame = match at_once {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let began = *self.began.get_or_insert_with(Instant::now);
                let wait = self.patience(began.elapsed(), received);
                match tokio::time::timeout(wait, frame).await {
                    Ok(frame) => frame,
                    Err(_) => return Err(self.too_slow(received)),
                }
            }
        };
        frame.transpose().map_err(|error| {
            Problem::bad_request("body-broken-off", format!("the body could not be read: {error}"))
        })
    }

    /// How long to wait for more after `elapsed`.
    fn patience(&self, elapsed: Duration, received: usize) -> Duration {
        let received = u64::try_from(received).unwrap_or(u64::MAX);
        let earned_ms = received.saturating_mul(1_000) / self.limits.rate_min.max(1);
        let due = Duration::from_millis(self.limits.rate_grace_ms.saturating_add(earned_ms));
        due.saturating_sub(elapsed).min(Duration::from_millis(self.limits.stall_ms_max))
    }

    fn too_slow(&self, received: usize) -> Problem {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            format!(
                "after {received} bytes the body came too slowly: it may pause for {} ms, and has to keep up {} bytes a second",
                self.limits.stall_ms_max, self.limits.rate_min,
            ),
        )
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        format!("the body has more than {bytes_max} bytes, the most that is taken here"),
    )
    .with("bytes-max", &bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_earned_by_bytes_and_ends_with_a_stall() {
        let limits = BodyLimits {
            stall_ms_max: 3_000,
            rate_min: 1_000,
            rate_grace_ms: 2_000,
            ..BodyLimits::default()
        };
        let pace = Pace { limits: &limits, began: None };
        let patience =
            |elapsed, received| pace.patience(Duration::from_millis(elapsed), received).as_millis();
        assert_eq!(patience(0, 0), 2_000, "the grace at first");
        assert_eq!(patience(1_500, 0), 500);
        assert_eq!(patience(2_000, 500), 500, "half a second earned");
        assert_eq!(patience(9_000, 1_000), 0, "too slow");
        assert_eq!(patience(0, 1 << 20), 3_000, "a stall, whatever was earned");
    }
}
