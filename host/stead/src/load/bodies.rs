//! Bodies and ids made from templates.

/// A text with gaps: `{{number}}`, or `{{n}}`, is the number of the request, from
/// 0, `{{random}}` a random number, `{{entity}}` the entity's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Number,
    Random,
    Entity,
}

const GAPS: [(&str, Piece); 4] = [
    ("{{n}}", Piece::Number),
    ("{{number}}", Piece::Number),
    ("{{random}}", Piece::Random),
    ("{{entity}}", Piece::Entity),
];

impl Template {
    /// Finds the gaps of a text. Two braces that are no gap stay as they are:
    /// JSON has them.
    pub fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if let Some((gap, piece)) = GAPS.iter().find(|(gap, _)| rest.starts_with(gap)) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain).into_bytes()));
                }
                pieces.push(piece.clone());
                rest = rest.get(gap.len()..).unwrap_or_default();
            } else {
                plain.push(letter);
                rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into_bytes()));
        }
        Self { pieces }
    }

    /// Writes the text with its gaps filled.
    pub fn write(&self, into: &mut Vec<u8>, number: u64, entity: u64) {
        use std::io::Write as _;
        for piece in &self.pieces {
            // Writing to a vector never fails.
            let _ = match piece {
                Piece::Text(text) => into.write_all(text),
                Piece::Number => write!(into, "{number}"),
                // JSON's numbers are exact up to 2^53.
                Piece::Random => write!(into, "{}", fastrand::u64(..1 << 53)),
                Piece::Entity => write!(into, "{entity}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_other_braces_stay() {
        let template = Template::new(r#"{"a":{"n":{{n}},"m":{{number}},"e":"é{{entity}}"}}"#);
        let mut text = Vec::new();
        template.write(&mut text, 7, 42);
        assert_eq!(String::from_utf8(text).expect("text"), r#"{"a":{"n":7,"m":7,"e":"é42"}}"#);
    }

    #[test]
    fn random_numbers_are_numbers_and_differ() {
        let template = Template::new("{{random}}");
        let draw = || {
            let mut text = Vec::new();
            template.write(&mut text, 0, 0);
            String::from_utf8(text).expect("text").parse::<u64>().expect("a number")
        };
        assert_ne!([draw(), draw(), draw()], [draw(), draw(), draw()]);
    }
}
