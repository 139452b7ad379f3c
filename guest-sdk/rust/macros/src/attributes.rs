//! Attributes that the macros read themselves.

use syn::{Attribute, LitStr, Path, Result, meta::ParseNestedMeta};

/// Takes the attributes of this name out of a list, so that the compiler, which
/// doesn't know them, never sees them.
pub fn take(attributes: &mut Vec<Attribute>, name: &str) -> Vec<Attribute> {
    attributes.extract_if(.., |attribute| attribute.path().is_ident(name)).collect()
}

/// The attributes that fields keep when they move into a struct of the macros'
/// own: serde's and schemars', and the documentation.
pub fn kept(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| {
        ["serde", "schemars", "doc", "cfg"].iter().any(|name| attribute.path().is_ident(name))
    })
}

/// Reads `#[name(key = "…", …)]`, and takes a bare `#[name]` as well.
pub fn read(attribute: &Attribute, each: impl FnMut(ParseNestedMeta) -> Result<()>) -> Result<()> {
    match &attribute.meta {
        syn::Meta::Path(_) => Ok(()),
        syn::Meta::List(_) | syn::Meta::NameValue(_) => attribute.parse_nested_meta(each),
    }
}

/// The text of `key = "…"`.
pub fn text(meta: &ParseNestedMeta) -> Result<LitStr> {
    meta.value()?.parse()
}

/// A key as it was written.
pub fn key(path: &Path) -> String {
    path.get_ident().map(ToString::to_string).unwrap_or_default()
}
