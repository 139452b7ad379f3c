//! Names as the contract has them.

use proc_macro2::Span;
use syn::{Error, Ident, LitStr, Result};

/// The most bytes that the contract gives a name.
const NAME_BYTES_MAX: usize = 64;

/// A name as the contract has it, and where it comes from.
#[derive(Clone)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

impl Name {
    /// `add_item` and `ItemAdded` become `add-item` and `item-added`.
    pub fn of_ident(ident: &Ident) -> Result<Self> {
        let text = ident.to_string();
        Self::checked(kebab(text.strip_prefix("r#").unwrap_or(&text)), ident.span())
    }

    /// A name as it is written.
    pub fn of_literal(literal: &LitStr) -> Result<Self> {
        Self::checked(literal.value(), literal.span())
    }

    fn checked(text: String, span: Span) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if text.len() <= NAME_BYTES_MAX && begins_well && text.bytes().all(plain) {
            return Ok(Self { text, span });
        }
        Err(Error::new(
            span,
            format!(
                "{text:?} is no name that callers can use: 1 to {NAME_BYTES_MAX} lower case letters, digits and hyphens, the first a letter"
            ),
        ))
    }
}

/// Finds names that are there twice.
pub fn refuse_duplicates<'a>(
    names: impl IntoIterator<Item = (&'static str, &'a Name)>,
) -> Result<()> {
    let mut seen: Vec<(&'static str, &Name)> = Vec::new();
    for (what, name) in names {
        if let Some((other, _)) = seen.iter().find(|(_, other)| other.text == name.text) {
            return Err(Error::new(
                name.span,
                format!("the {what} {:?} has the name of another {other}", name.text),
            ));
        }
        seen.push((what, name));
    }
    Ok(())
}

fn kebab(ident: &str) -> String {
    let characters: Vec<char> = ident.chars().collect();
    let mut name = String::new();
    for (position, &character) in characters.iter().enumerate() {
        if character == '_' {
            name.push('-');
            continue;
        }
        let before = position.checked_sub(1).and_then(|before| characters.get(before));
        let after = characters.get(position + 1);
        let begins_word = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins_word {
            name.push('-');
        }
        name.extend(character.to_lowercase());
    }
    name.trim_matches('-').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_idents() {
        for (ident, name) in [
            ("add_item", "add-item"),
            ("ItemAdded", "item-added"),
            ("HTTPCallMade", "http-call-made"),
            ("Level2Reached", "level2-reached"),
            ("A", "a"),
            ("_hidden", "hidden"),
        ] {
            assert_eq!(kebab(ident), name);
        }
    }

    #[test]
    fn names_are_what_the_contract_takes() {
        let check = |text: &str| Name::checked(text.into(), Span::call_site()).is_ok();
        assert!(check("a") && check("a-1") && check(&"a".repeat(64)));
        assert!(!check("") && !check("1a") && !check("A") && !check("ä") && !check("a b"));
        assert!(!check(&"a".repeat(65)));
    }
}
