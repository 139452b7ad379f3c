//! The implementation of the trait.
//!
//! Reading and writing are left to serde, by its way for types of other crates:
//! it derives them for a copy of the enum and makes them work on the original.
//! So an author derives nothing but `Event`, and every attribute of serde's on
//! fields works.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Fields;

use super::{Events, Kind};
use crate::attributes;

pub fn implementation(events: &Events) -> TokenStream {
    let Events { ident, kinds, .. } = events;
    let copy = copy(events);
    let schemas = kinds.iter().filter_map(|kind| schema_struct(events, kind));
    let listed = kinds.iter().map(listed);
    let names = kinds.iter().map(|kind| {
        let (variant, name) = (&kind.ident, &kind.name.text);
        quote!(Self::#variant { .. } => #name,)
    });
    let names = match_or_never(names.collect());
    let encode = encode(kinds);
    let decode = decode(kinds);
    quote! {
        const _: () = {
            use ::stead_sdk::__private as __stead;

            #copy

            #(#schemas)*

            impl ::stead_sdk::Event for #ident {
                fn kinds() -> ::std::vec::Vec<::stead_sdk::EventKind> {
                    let mut __kinds = ::std::vec::Vec::new();
                    #(#listed)*
                    __kinds
                }

                fn name(&self) -> &'static str {
                    #names
                }

                fn encode(
                    &self,
                ) -> ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
                    #encode
                }

                fn decode(
                    __name: &str,
                    __body: &[u8],
                ) -> ::std::result::Result<Self, ::std::string::String> {
                    #decode
                }
            }
        };
    }
}

/// Whether serde reads and writes it.
fn is_json(kind: &Kind) -> bool {
    kind.content_type.is_none()
}

/// A match over the variants; an enum without any is never there to be matched.
fn match_or_never(arms: Vec<TokenStream>) -> TokenStream {
    if arms.is_empty() { quote!(match *self {}) } else { quote!(match self { #(#arms)* }) }
}

/// The copy of the enum that serde derives for, without the variants that it has
/// no part in.
fn copy(events: &Events) -> Option<TokenStream> {
    let original = events.ident.to_string();
    let attributes = &events.attributes;
    let variants: Vec<_> = events
        .kinds
        .iter()
        .map(|kind| {
            let skip = (!is_json(kind)).then(|| quote!(#[serde(skip)]));
            let attributes =
                kind.attributes.iter().filter(|attribute| !attribute.path().is_ident("doc"));
            let variant = &kind.ident;
            let fields = fields(kind);
            let fields = match kind.fields {
                Fields::Named(_) => quote!({ #(#fields,)* }),
                Fields::Unnamed(_) => quote!((#(#fields,)*)),
                Fields::Unit => quote!(),
            };
            quote!(#skip #(#attributes)* #variant #fields)
        })
        .collect();
    events.kinds.iter().any(is_json).then(|| {
        quote! {
            #[derive(__stead::serde::Serialize, __stead::serde::Deserialize)]
            #[serde(crate = "::stead_sdk::__private::serde", remote = #original)]
            #(#attributes)*
            #[allow(dead_code)]
            enum __Copy { #(#variants,)* }
        }
    })
}

fn fields(kind: &Kind) -> Vec<TokenStream> {
    let fields = kind.fields.iter().map(|field| {
        let attributes = attributes::kept(&field.attrs);
        let name = field.ident.as_ref().map(|ident| quote!(#ident:));
        let ty = &field.ty;
        quote!(#(#attributes)* #name #ty)
    });
    fields.collect()
}

fn schema_name(kind: &Kind) -> syn::Ident {
    format_ident!("__{}", kind.ident)
}

/// A struct with the variant's fields, whose JSON Schema is the event's.
fn schema_struct(events: &Events, kind: &Kind) -> Option<TokenStream> {
    let Fields::Named(_) = kind.fields else { return None };
    let name = schema_name(kind);
    let title = &kind.name.text;
    let fields = fields(kind);
    let attributes = &kind.attributes;
    let renames = events.attributes.iter().filter_map(rename_all_fields);
    Some(quote! {
        #[derive(__stead::schemars::JsonSchema)]
        #[schemars(crate = "::stead_sdk::__private::schemars", title = #title)]
        #(#[serde(rename_all = #renames)])*
        #(#attributes)*
        #[allow(dead_code)]
        struct #name { #(#fields,)* }
    })
}

/// What holds for the fields of all variants, as it is written for a struct.
fn rename_all_fields(attribute: &syn::Attribute) -> Option<syn::LitStr> {
    let mut found = None;
    // What is malformed has been refused when it was read.
    let _ = attribute.parse_nested_meta(|meta| {
        let is_rename = meta.path.is_ident("rename_all_fields");
        if meta.input.peek(syn::Token![=]) {
            let value: syn::Expr = meta.value()?.parse()?;
            if let (true, syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) =
                (is_rename, value)
            {
                found = Some(text);
            }
        }
        Ok(())
    });
    found
}

/// The kind's entry in the description, and those of its older names.
fn listed(kind: &Kind) -> TokenStream {
    let (name, summary) = (&kind.name.text, &kind.summary);
    let schema = match (&kind.fields, is_json(kind)) {
        (Fields::Named(_), _) => {
            let schema = schema_name(kind);
            quote!(::std::option::Option::Some(__stead::of_output::<#schema>()))
        }
        (Fields::Unnamed(fields), true) => {
            let ty = fields.unnamed.first().map(|field| &field.ty);
            quote!(::std::option::Option::Some(__stead::of_output::<#ty>()))
        }
        (_, _) => quote!(::std::option::Option::None),
    };
    let content_type = match &kind.content_type {
        Some(content_type) => quote!(#content_type),
        None => quote!(__stead::JSON),
    };
    let older = kind.aliases.iter().map(|alias| {
        let alias = &alias.text;
        let summary = format!("An older name of {name}. {summary}");
        let summary = summary.trim_end();
        quote!(__kinds.push(::stead_sdk::EventKind {
            name: #alias,
            summary: #summary.into(),
            content_type: #content_type,
            schema: __schema.clone(),
        });)
    });
    quote!({
        let __schema: ::std::option::Option<::std::string::String> = #schema;
        __kinds.push(::stead_sdk::EventKind {
            name: #name,
            summary: #summary.into(),
            content_type: #content_type,
            schema: __schema.clone(),
        });
        #(#older)*
    })
}

fn encode(kinds: &[Kind]) -> TokenStream {
    let raw = kinds.iter().filter(|kind| !is_json(kind)).map(|kind| {
        let variant = &kind.ident;
        quote!(Self::#variant(__bytes) => {
            let __bytes: &::stead_sdk::Bytes = __bytes;
            ::std::result::Result::Ok(__bytes.to_vec())
        })
    });
    let json = kinds.iter().any(is_json).then(
        || quote!(_ => __stead::encode_variant(|__writer| __Copy::serialize(self, __writer)),),
    );
    match_or_never(raw.chain(json).collect())
}

fn decode(kinds: &[Kind]) -> TokenStream {
    let names = |kind: &Kind| {
        let names = std::iter::once(&kind.name).chain(&kind.aliases);
        let names: Vec<_> = names.map(|name| name.text.clone()).collect();
        quote!(#(#names)|*)
    };
    // Serde counts the variants that it reads, which leaves out the others.
    let json = kinds.iter().filter(|kind| is_json(kind)).zip(0_u32..).map(|(kind, index)| {
        let names = names(kind);
        quote!(#names => #index,)
    });
    let raw = kinds.iter().filter(|kind| !is_json(kind)).map(|kind| {
        let (names, variant) = (names(kind), &kind.ident);
        quote!(#names => return ::std::result::Result::Ok(
            Self::#variant(::stead_sdk::Bytes::from(__body))
        ),)
    });
    let unknown = quote!(
        return ::std::result::Result::Err(
            "this version of the component knows no such event".into()
        )
    );
    if !kinds.iter().any(is_json) {
        return quote!(match __name { #(#raw)* _ => #unknown, });
    }
    quote! {
        let __index = match __name {
            #(#json)*
            #(#raw)*
            _ => #unknown,
        };
        __stead::decode_variant(__index, __body, |__reader| __Copy::deserialize(__reader))
    }
}
