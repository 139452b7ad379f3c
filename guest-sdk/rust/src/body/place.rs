//! Finds which field of a body a line and column are in.
//!
//! `serde_json` says where a fault is by line and column; a caller wants to know
//! the field. Keeping track of fields while reading would cost every request, and
//! reading again with track kept would put a second reader for every argument
//! into the component. So the text up to the fault is looked through by itself.

/// The most levels of nesting that are named; `serde_json` reads no more.
const DEPTH_MAX: usize = 128;

/// Where a scan is within one array or object.
enum Level<'a> {
    Array { index: usize, begun: bool },
    Object { key: Option<&'a [u8]>, expects_key: bool },
}

/// The path of the value that line and column, both counted from 1, are in:
/// `items[0].quantity`; empty for the whole body.
pub fn path_at(body: &[u8], line: usize, column: usize) -> String {
    let text = body.get(..offset_of(body, line, column)).unwrap_or(body);
    let mut levels: Vec<Level> = Vec::new();
    let mut position = 0;
    while let Some(&byte) = text.get(position) {
        let begin = position;
        position += 1;
        match (byte, levels.last_mut()) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => continue,
            (b'}' | b']', _) => {
                levels.pop();
                continue;
            }
            (b',', Some(Level::Array { index, begun })) => {
                (*index, *begun) = (*index + 1, false);
                continue;
            }
            (b',', Some(Level::Object { key, expects_key })) => {
                (*key, *expects_key) = (None, true);
                continue;
            }
            (b'"', level) => {
                position = end_of_string(text, position);
                if let Some(Level::Object { key, expects_key: expects_key @ true }) = level {
                    *expects_key = false;
                    *key = text.get(begin + 1..position.saturating_sub(1).max(begin + 1));
                    continue;
                }
            }
            (_, _) => {}
        }
        if let Some(Level::Array { begun, .. }) = levels.last_mut() {
            *begun = true;
        }
        match byte {
            _ if levels.len() >= DEPTH_MAX => break,
            b'[' => levels.push(Level::Array { index: 0, begun: false }),
            b'{' => levels.push(Level::Object { key: None, expects_key: true }),
            _ => {}
        }
    }
    written(&levels)
}

fn written(levels: &[Level]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Array { index, begun: true } => path.push_str(&format!("[{index}]")),
            Level::Object { key: Some(key), .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&String::from_utf8_lossy(key));
            }
            Level::Array { begun: false, .. } | Level::Object { key: None, .. } => {}
        }
    }
    path
}

/// How many bytes of the body come up to and with this line and column.
fn offset_of(body: &[u8], line: usize, column: usize) -> usize {
    let before: usize = body
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    before.saturating_add(column)
}

/// The position behind a string's closing quotes, or the end of the text.
fn end_of_string(text: &[u8], mut position: usize) -> usize {
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => return position + 1,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place is where the text is cut.
    #[track_caller]
    fn check(text: &str, path: &str) {
        let line = text.lines().count();
        let column = text.lines().last().map_or(0, str::len);
        let body = format!("{text} and whatever follows ]}}");
        assert_eq!(path_at(body.as_bytes(), line, column), path, "{text}");
    }

    #[test]
    fn a_place_is_in_the_field_whose_value_was_read() {
        check(r#"{"a":"x""#, "a");
        check(r#"{"a":"x","#, "");
        check(r#"{"a":"x","b"#, "");
        check(r#"{"a":"x","b""#, "b");
        check(r#"{"a":{"b":[1,{"c":-1"#, "a.b[1].c");
        check(r#"{"a":{"b":[1,{"c":-1}"#, "a.b[1]");
        check(r#"{"a":{"b":[1,{"c":-1}]"#, "a.b");
        check(r#"{"a":{"b":[1,{"c":-1}]}"#, "a");
        check(r#"{"a":[]}"#, "");
        check("[[1],\n [2,\n  x", "[1][1]");
    }

    #[test]
    fn what_only_opens_is_not_entered() {
        check(r#"{"a":["#, "a");
        check(r#"{"a":{"#, "a");
        check(r#"{"a":[["#, "a[0]");
    }

    #[test]
    fn strings_hide_what_they_hold() {
        check(r#"{"a}\"":"]}\\","b":[",",0"#, "b[1]");
    }

    #[test]
    fn a_place_beyond_the_body_is_its_end() {
        assert_eq!(path_at(b"{\"a\":1", 7, 900), "a");
        assert_eq!(path_at(b"{\"a\":1", 1, usize::MAX), "a");
        assert_eq!(path_at(b"", 0, 0), "");
    }

    #[test]
    fn any_bytes_have_a_path() {
        let pieces: &[&[u8]] = &[b"{", b"}", b"[", b"]", b"\"", b"\\", b",", b":", b"a", b"\xff"];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut body = Vec::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let pick = (state >> 33) as usize % pieces.len();
                body.extend_from_slice(pieces[pick]);
            }
            for column in 0..14 {
                path_at(&body, 1, column);
            }
        }
        assert!(path_at(&b"[".repeat(100_000), 1, 100_000).len() < 1_000);
    }
}
