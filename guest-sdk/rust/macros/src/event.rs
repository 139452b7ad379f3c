//! `#[derive(Event)]`: reads an enum, and implements the trait for it.

mod code;

use proc_macro2::TokenStream;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, Ident, LitStr, Result, Variant, spanned::Spanned,
};

use crate::{
    attributes, docs,
    names::{self, Name},
};

/// What an enum says.
struct Events {
    ident: Ident,
    /// The enum's own attributes of serde, which hold for all variants.
    attributes: Vec<Attribute>,
    kinds: Vec<Kind>,
}

/// A variant.
struct Kind {
    ident: Ident,
    name: Name,
    aliases: Vec<Name>,
    summary: String,
    /// The content type of a body that is kept as it is.
    content_type: Option<LitStr>,
    attributes: Vec<Attribute>,
    fields: Fields,
}

pub fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let events = Events::read(&input)?;
    Ok(code::implementation(&events))
}

impl Events {
    fn read(input: &DeriveInput) -> Result<Self> {
        let Data::Enum(data) = &input.data else {
            return Err(Error::new(
                input.ident.span(),
                "`#[derive(Event)]` is for an enum with a variant for each kind of event",
            ));
        };
        if !input.generics.params.is_empty() {
            return Err(Error::new(input.generics.span(), "events can't be generic"));
        }
        let is_event = |attribute: &&Attribute| attribute.path().is_ident("event");
        if let Some(attribute) = input.attrs.iter().find(is_event) {
            return Err(Error::new(
                attribute.span(),
                "`#[event(…)]` goes above a variant of the enum",
            ));
        }
        refuse_serde(&input.attrs, &["rename_all_fields", "deny_unknown_fields"])?;
        let kinds: Vec<_> = data.variants.iter().map(Kind::read).collect::<Result<_>>()?;
        let all = kinds.iter().flat_map(|kind| std::iter::once(&kind.name).chain(&kind.aliases));
        names::refuse_duplicates(all.map(|name| ("event", name)))?;
        let serde = input.attrs.iter().filter(|attribute| attribute.path().is_ident("serde"));
        Ok(Self { ident: input.ident.clone(), attributes: serde.cloned().collect(), kinds })
    }
}

impl Kind {
    fn read(variant: &Variant) -> Result<Self> {
        let mut name = Name::of_ident(&variant.ident);
        let mut aliases = Vec::new();
        let mut content_type = None;
        for attribute in &variant.attrs {
            if !attribute.path().is_ident("event") {
                continue;
            }
            attributes::read(attribute, |meta| {
                match attributes::key(&meta.path).as_str() {
                    "name" => name = Name::of_literal(&attributes::text(&meta)?),
                    "alias" => aliases.push(Name::of_literal(&attributes::text(&meta)?)?),
                    "content_type" => content_type = Some(attributes::text(&meta)?),
                    _ => {
                        return Err(meta.error(
                            "expected `name = \"…\"`, `alias = \"…\"` or `content_type = \"…\"`",
                        ));
                    }
                }
                Ok(())
            })?;
        }
        refuse_serde(&variant.attrs, &["rename_all"])?;
        let one_value =
            matches!(&variant.fields, Fields::Unnamed(fields) if fields.unnamed.len() == 1);
        if matches!(variant.fields, Fields::Unnamed(_)) && !one_value {
            return Err(Error::new(
                variant.fields.span(),
                "an event's fields have names: journals live long, and an array can't grow",
            ));
        }
        if content_type.is_some() && !one_value {
            return Err(Error::new(
                variant.span(),
                "`content_type` is for a variant that holds `Bytes` and nothing else",
            ));
        }
        Ok(Self {
            ident: variant.ident.clone(),
            name: name?,
            aliases,
            summary: docs::summary(&variant.attrs),
            content_type,
            attributes: attributes::kept(&variant.attrs).cloned().collect(),
            fields: variant.fields.clone(),
        })
    }
}

/// Refuses what serde knows and this derive settles, but for some.
fn refuse_serde(attributes: &[Attribute], allowed: &[&str]) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            let key = attributes::key(&meta.path);
            if allowed.contains(&key.as_str()) {
                if meta.input.peek(syn::Token![=]) {
                    meta.value()?.parse::<syn::Expr>()?;
                }
                return Ok(());
            }
            Err(meta.error(format!(
                "`#[serde({key})]` can't be used here: in the journal an event is its name and its fields. `#[event(name = \"…\")]` and `#[event(alias = \"…\")]` name a kind; fields may have serde's attributes"
            )))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[track_caller]
    fn check(item: TokenStream, message: &str) {
        let found = expand(item).expect_err("an error").to_string();
        assert!(found.contains(message), "{found}");
    }

    #[test]
    fn events_are_an_enum_with_named_fields() {
        check(
            quote!(
                struct E {
                    a: u8,
                }
            ),
            "is for an enum",
        );
        check(
            quote!(
                enum E<T> {
                    A(T),
                }
            ),
            "can't be generic",
        );
        check(
            quote!(
                enum E {
                    A(u8, u8),
                }
            ),
            "an event's fields have names",
        );
    }

    #[test]
    fn names_are_used_once() {
        check(
            quote!(
                enum E {
                    #[event(alias = "b")]
                    A,
                    B,
                }
            ),
            "the event \"b\" has the name of another",
        );
        check(
            quote!(
                enum E {
                    #[event(name = "a b")]
                    A,
                }
            ),
            "\"a b\" is no name",
        );
    }

    #[test]
    fn serde_does_not_name_events() {
        check(
            quote!(
                enum E {
                    #[serde(rename = "x")]
                    A,
                }
            ),
            "`#[serde(rename)]` can't be used here",
        );
        check(
            quote!(
                #[serde(tag = "type")]
                enum E {
                    A,
                }
            ),
            "`#[serde(tag)]` can't be used here",
        );
        assert!(
            expand(quote!(
                #[serde(rename_all_fields = "camelCase")]
                enum E {
                    A,
                }
            ))
            .is_ok()
        );
    }

    #[test]
    fn attributes_are_where_they_belong() {
        check(
            quote!(
                #[event(name = "x")]
                enum E {
                    A,
                }
            ),
            "goes above a variant",
        );
        check(
            quote!(
                enum E {
                    #[event(nome = "x")]
                    A,
                }
            ),
            "expected `name",
        );
        check(
            quote!(
                enum E {
                    #[event(content_type = "image/png")]
                    A,
                }
            ),
            "holds `Bytes`",
        );
    }
}
