//! Cuts what a guest writes into lines fit for a log.

/// Collects bytes into lines of a bounded length.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    /// The line is over its bound; the rest of it is dropped.
    overlong: bool,
}

impl Lines {
    /// Takes bytes; gives each line that they complete to `emit`.
    pub(crate) fn push(&mut self, bytes: &[u8], bytes_max: usize, mut emit: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = bytes_max.saturating_sub(self.partial.len());
            let (kept, cut) = text.split_at(text.len().min(room));
            self.partial.extend_from_slice(kept);
            self.overlong |= !cut.is_empty();
            if ends {
                self.end(&mut emit);
            }
        }
    }

    /// Ends the line, if one has begun.
    pub(crate) fn end(&mut self, mut emit: impl FnMut(&str)) {
        if self.partial.is_empty() && !self.overlong {
            return;
        }
        let mut line = printable(&String::from_utf8_lossy(&self.partial));
        if self.overlong {
            line.push('…');
        }
        emit(&line);
        self.partial.clear();
        self.partial.shrink_to(1 << 10);
        self.overlong = false;
    }
}

/// The text with control characters made visible: what a guest says must not
/// be able to look like another line of the log, or to steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push(character),
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown
}

/// Cuts a text to so many bytes, at a character's border, and says so.
pub(crate) fn cut(text: &str, bytes_max: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    let (kept, _) = text.split_at(text.floor_char_boundary(bytes_max));
    format!("{kept}…").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in pieces {
            lines.push(piece, 8, |line| seen.push(line.to_owned()));
        }
        lines.end(|line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn lines_are_joined_cut_and_made_printable() {
        assert_eq!(lines_of(&[b"one\ntw", b"o\n", b"rest"]), ["one", "two", "rest"]);
        assert_eq!(lines_of(&[b"123456789\nnext\n"]), ["12345678…", "next"]);
        assert_eq!(lines_of(&[b"1234", b"5678", b"9", b"\nx"]), ["12345678…", "x"]);
        assert_eq!(lines_of(&[b"\n\n"]), Vec::<String>::new());
        assert_eq!(lines_of(&[b"a\x1b[2K\n"]), ["a\\u{1b}[2K"]);
        assert_eq!(lines_of(&[b"\xff\n"]), ["\u{fffd}"]);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "ä…");
        assert_eq!(cut("äöü", 6), "äöü");
    }
}
