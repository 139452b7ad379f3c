//! `#[derive(Rejection)]`: reads an enum, and turns it into rejections.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Data, DeriveInput, Error, Fields, Ident, LitInt, LitStr, Result, Variant, ext::IdentExt,
    spanned::Spanned,
};

use crate::{
    attributes, docs,
    names::{self, Name},
};

/// A variant.
struct Refusal {
    ident: Ident,
    code: Name,
    status: u16,
    message: Message,
    details: bool,
    fields: Fields,
}

/// The sentence for people.
enum Message {
    /// With fields in braces.
    Format(LitStr),
    /// As it stands.
    Plain(String),
}

pub fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(
            input.ident.span(),
            "`#[derive(Rejection)]` is for an enum with a variant for each reason",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new(input.generics.span(), "rejections can't be generic"));
    }
    let refusals: Vec<_> = data.variants.iter().map(Refusal::read).collect::<Result<_>>()?;
    names::refuse_duplicates(refusals.iter().map(|refusal| ("rejection", &refusal.code)))?;
    let ident = &input.ident;
    let arms = refusals.iter().map(|refusal| refusal.arm(ident));
    Ok(quote! {
        impl ::std::convert::From<#ident> for ::stead_sdk::Rejection {
            fn from(__reason: #ident) -> Self {
                match __reason { #(#arms)* }
            }
        }
    })
}

impl Refusal {
    fn read(variant: &Variant) -> Result<Self> {
        let mut code = Name::of_ident(&variant.ident);
        let (mut status, mut message, mut details) = (422, None, true);
        for attribute in &variant.attrs {
            if !attribute.path().is_ident("reject") {
                continue;
            }
            attributes::read(attribute, |meta| {
                match attributes::key(&meta.path).as_str() {
                    "code" => code = Name::of_literal(&attributes::text(&meta)?),
                    "status" => status = read_status(&meta.value()?.parse()?)?,
                    "message" => message = Some(attributes::text(&meta)?),
                    "no_details" => details = false,
                    _ => {
                        return Err(meta.error(
                            "expected `status = 409`, `code = \"…\"`, `message = \"…\"` or `no_details`",
                        ));
                    }
                }
                Ok(())
            })?;
        }
        let message = match (message, docs::summary(&variant.attrs)) {
            (Some(message), _) => Message::Format(positions_as_names(&message)),
            (None, summary) if !summary.is_empty() => Message::Plain(summary),
            (None, _) => {
                return Err(Error::new(
                    variant.span(),
                    "a rejection says why, in one sentence: give it a doc comment or `#[reject(message = \"…\")]`",
                ));
            }
        };
        let fields = variant.fields.clone();
        Ok(Self { ident: variant.ident.clone(), code: code?, status, message, details, fields })
    }

    fn arm(&self, enum_ident: &Ident) -> TokenStream {
        let Self { ident, code, status, message, details, fields } = self;
        let code = &code.text;
        let names: Vec<_> = fields
            .members()
            .map(|member| match member {
                syn::Member::Named(name) => name,
                syn::Member::Unnamed(index) => format_ident!("_{}", index.index),
            })
            .collect();
        let pattern = match fields {
            Fields::Named(_) => quote!({ #(#names),* }),
            Fields::Unnamed(_) => quote!((#(#names),*)),
            Fields::Unit => quote!(),
        };
        let message = match message {
            Message::Format(text) => quote!(::std::format!(#text)),
            Message::Plain(text) => quote!(#text),
        };
        let rejection = quote!(::stead_sdk::Rejection::new(#code, #message).with_status(#status));
        let rejection = match (details, fields) {
            (true, Fields::Named(fields)) if !fields.named.is_empty() => {
                let keys = names.iter().map(|name| name.unraw().to_string());
                quote!(::stead_sdk::__private::with_fields(#rejection, &[#((#keys, &#names)),*]))
            }
            (true, Fields::Unnamed(fields)) => match fields.unnamed.len() {
                0 => rejection,
                1 => quote!(#rejection.with_details(&#(#names)*)),
                _ => quote!(#rejection.with_details(&(#(&#names),*))),
            },
            (_, _) => rejection,
        };
        // Fields that neither the message nor the details need are no mistake.
        quote! {
            #[allow(unused_variables)]
            #enum_ident::#ident #pattern => #rejection,
        }
    }
}

fn read_status(literal: &LitInt) -> Result<u16> {
    match literal.base10_parse() {
        Ok(status) if (400..500).contains(&status) => Ok(status),
        _ => Err(Error::new(
            literal.span(),
            "a rejection's status is 400 to 499; 422 is the usual one, 409 says that the state doesn't allow it",
        )),
    }
}

/// `{0}` becomes `{_0}`, which is what the field is called where the message is
/// written.
fn positions_as_names(message: &LitStr) -> LitStr {
    let text = message.value();
    let mut named = String::with_capacity(text.len() + 4);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        named.push(character);
        if character != '{' {
            continue;
        }
        match characters.peek() {
            Some('{') => named.extend(characters.next()),
            Some(next) if next.is_ascii_digit() => named.push('_'),
            _ => {}
        }
    }
    LitStr::new(&named, message.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(item: TokenStream, message: &str) {
        let found = expand(item).expect_err("an error").to_string();
        assert!(found.contains(message), "{found}");
    }

    #[test]
    fn a_rejection_says_why() {
        check(
            quote!(
                enum E {
                    A,
                }
            ),
            "a rejection says why",
        );
        check(
            quote!(
                struct E;
            ),
            "is for an enum",
        );
        check(
            quote!(
                enum E<T> {
                    #[doc = "x"]
                    A(T),
                }
            ),
            "can't be generic",
        );
    }

    #[test]
    fn a_status_is_the_callers_fault() {
        for status in [quote!(399), quote!(500), quote!(70000)] {
            check(
                quote!(
                    enum E {
                        #[reject(status = #status, message = "x")]
                        A,
                    }
                ),
                "400 to 499",
            );
        }
    }

    #[test]
    fn codes_are_used_once() {
        check(
            quote!(
                enum E {
                    #[doc = "x"]
                    A,
                    #[reject(code = "a", message = "y")]
                    B,
                }
            ),
            "the rejection \"a\" has the name of another",
        );
    }

    #[test]
    fn fields_by_position_can_be_named_in_messages() {
        let message = LitStr::new("{0} {{1}} {1:?} {name}", proc_macro2::Span::call_site());
        assert_eq!(positions_as_names(&message).value(), "{_0} {{1}} {_1:?} {name}");
    }
}
