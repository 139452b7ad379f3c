//! Spans of time as people write them: `250ms`, `1h30m`.

use std::time::Duration;

/// Units, from the largest.
const UNITS_MS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `10s`, `250ms`, `1h30m`. A bare number has no unit and is refused.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut total_ms: u64 = 0;
    if rest.is_empty() {
        return Err(FORM.into());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        if number.is_empty() {
            return Err(FORM.into());
        }
        let factor = match unit {
            "" => return Err(format!("{number} lacks a unit: {number}ms or {number}s, say")),
            unit => UNITS_MS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, factor)| *factor)
                .ok_or_else(|| {
                    format!("{unit:?} is no unit of time; there are ms, s, m, h and d")
                })?,
        };
        total_ms = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .and_then(|part| part.checked_add(total_ms))
            .ok_or("the span is beyond 64 bits of milliseconds")?;
        rest = tail;
    }
    Ok(Duration::from_millis(total_ms))
}

const FORM: &str = "a span of time is a number and a unit, as in 10s or 250ms";

/// Shows a span in the largest unit that divides it.
pub fn show(span: Duration) -> String {
    let ms = as_ms(span);
    let whole = UNITS_MS.iter().find(|(_, factor)| ms != 0 && ms.is_multiple_of(*factor));
    let (name, factor) = whole.unwrap_or(&("s", 1));
    format!("{}{name}", ms / factor)
}

/// The span in whole milliseconds.
pub fn as_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, ms) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "10", "s", "-1s", "1.5s", "10 s", "10sec", "10S", "999999999999999999d"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_bare_number_is_told_its_units() {
        assert_eq!(parse("10"), Err("10 lacks a unit: 10ms or 10s, say".into()));
    }

    #[test]
    fn a_span_reads_what_it_shows() {
        for ms in [0, 1, 250, 1_000, 1_500, 60_000, 86_400_000, 90_061_001] {
            let span = Duration::from_millis(ms);
            assert_eq!(parse(&show(span)), Ok(span), "{}", show(span));
        }
        assert_eq!(show(Duration::from_secs(86_400)), "1d");
        assert_eq!(show(Duration::from_millis(1_500)), "1500ms");
    }
}
