//! Trying again, under the same idempotency key.

use std::time::Duration;

use super::{Answer, Client, Request, send::SendError};
use crate::{config::span, failure::Failure, output::Screen};

/// The first wait; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// No wait is longer, whatever the node says.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Sends a request, and again up to `retries` times if the node was busy, did
/// not know the outcome or did not answer. The caller sees to it that doing it
/// twice does no harm: the request carries a key, or changes nothing.
pub async fn send_with_retries(
    client: &Client,
    what: &str,
    request: &Request,
    retries: u32,
    screen: &Screen,
) -> Result<Answer, Failure> {
    let mut attempt = 0;
    loop {
        let error = match client.try_send(request.clone(), None).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let asked_for = match &error {
            SendError::Problem(problem) if problem.is_worth_a_retry() => problem.retry_after,
            SendError::NoAnswer { retriable: true, .. } => None,
            SendError::Problem(_) | SendError::NoAnswer { .. } => {
                return Err(error.into_failure(what));
            }
        };
        if attempt >= retries {
            return Err(error.into_failure(what));
        }
        let wait = wait(attempt, asked_for, fastrand::f64());
        attempt += 1;
        let reason = error.into_failure(what).message;
        screen.aside(format_args!(
            "{reason}; trying again in {} ({attempt} of {retries})",
            span::show(wait)
        ));
        tokio::time::sleep(wait).await;
    }
}

/// How long to wait before the next attempt: the doubled wait, anything from
/// half of it to the whole so that many callers don't come back at once, and
/// no less than the node asked for.
fn wait(attempt: u32, asked_for: Option<Duration>, luck: f64) -> Duration {
    let doubled = WAIT_FIRST.saturating_mul(1 << attempt.min(16)).min(WAIT_MAX);
    let wait = doubled.mul_f64(0.5 + luck.clamp(0.0, 1.0) / 2.0);
    let wait = Duration::from_millis(span::as_ms(wait));
    wait.max(asked_for.unwrap_or_default()).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_heed_the_node() {
        let ms = Duration::from_millis;
        assert_eq!(wait(0, None, 1.0), ms(100));
        assert_eq!(wait(0, None, 0.0), ms(50));
        assert_eq!(wait(3, None, 1.0), ms(800));
        assert_eq!(wait(40, None, 1.0), WAIT_MAX);
        assert_eq!(wait(0, Some(ms(2_000)), 0.3), ms(2_000));
        assert_eq!(wait(0, Some(ms(3_600_000)), 0.3), WAIT_MAX);
    }
}
