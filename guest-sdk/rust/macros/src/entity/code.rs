//! The implementation of the trait.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::{Entity, Snapshot};
use crate::method::{Arguments, Method, Role};

/// Where errors about a type are shown. Only the place is the type's: names are
/// resolved as in the rest of the code, also if the type came out of a macro.
fn at(ty: &impl Spanned) -> Span {
    Span::call_site().located_at(ty.span())
}

pub fn implementation(entity: &Entity) -> TokenStream {
    let Entity { ty, summary, methods, apply, snapshot } = entity;
    let structs = methods.iter().filter_map(|method| argument_struct(entity, method));
    let of = |role: Role| methods.iter().filter(move |method| method.role == role);
    let commands = of(Role::Command).map(describe);
    let queries = of(Role::Query).map(describe);
    let decide = of(Role::Command).map(decide);
    let answer = of(Role::Query).map(answer);
    let event = &apply.event;
    let folded = if apply.by_reference { quote!(&event) } else { quote!(event) };
    let (save, restore, state_schema, state_summary) = state(snapshot.as_ref(), ty);
    let summary = match summary.as_str() {
        "" => state_summary,
        summary => quote!(::std::string::String::from(#summary)),
    };
    quote! {
        const _: () = {
            use ::stead_sdk::__private as __stead;
            #[allow(unused_imports)]
            use __stead::{OrPlain as _, OrResult as _, Special as _};

            #(#structs)*

            impl ::stead_sdk::Entity for #ty {
                type Event = #event;

                fn describe() -> ::stead_sdk::Description {
                    ::stead_sdk::Description {
                        summary: #summary,
                        sdk: __stead::SDK,
                        commands: ::std::vec![#(#commands),*],
                        queries: ::std::vec![#(#queries),*],
                        events: <#event as ::stead_sdk::Event>::kinds(),
                        state_schema: #state_schema,
                    }
                }

                fn decide(
                    &self,
                    __context: &mut ::stead_sdk::Context<Self>,
                    __name: &str,
                    __body: &[u8],
                ) -> ::std::result::Result<::stead_sdk::Answer<Self>, ::stead_sdk::Rejection> {
                    match __name {
                        #(#decide)*
                        _ => __stead::unknown("command", __name),
                    }
                }

                fn answer(
                    &self,
                    __context: &::stead_sdk::QueryContext,
                    __name: &str,
                    __body: &[u8],
                ) -> ::std::result::Result<::std::vec::Vec<u8>, ::stead_sdk::Rejection> {
                    match __name {
                        #(#answer)*
                        _ => __stead::unknown("query", __name),
                    }
                }

                #[inline]
                fn fold(&mut self, event: Self::Event) {
                    self.apply(#folded)
                }

                fn snapshot(&self) -> ::std::vec::Vec<u8> {
                    #save
                }

                fn restore(
                    __snapshot: &[u8],
                ) -> ::std::result::Result<Self, ::std::string::String> {
                    #restore
                }
            }
        };
    }
}

/// How the state is saved, restored and described.
fn state(
    snapshot: Option<&Snapshot>,
    ty: &syn::Type,
) -> (TokenStream, TokenStream, TokenStream, TokenStream) {
    match snapshot {
        Some(Snapshot { save, restore }) => (
            quote!(self.#save()),
            quote!(Self::#restore(__snapshot)),
            quote!(::std::option::Option::None),
            quote!(::std::string::String::new()),
        ),
        // With the type's own span, so that a missing derive is shown there.
        None => (
            quote_spanned!(at(ty)=> __stead::snapshot::<#ty>(self)),
            quote_spanned!(at(ty)=> __stead::restore::<#ty>(__snapshot)),
            quote_spanned!(at(ty)=> ::std::option::Option::Some(__stead::of_output::<#ty>())),
            quote_spanned!(at(ty)=> __stead::summary_of::<#ty>()),
        ),
    }
}

fn struct_name(method: &Method) -> syn::Ident {
    format_ident!("__{}Arguments", method.ident)
}

/// The struct whose fields are the method's parameters.
fn argument_struct(entity: &Entity, method: &Method) -> Option<TokenStream> {
    let Arguments::Fields(fields) = &method.arguments else { return None };
    let name = struct_name(method);
    let title = &method.name.text;
    let idents = fields.iter().map(|field| &field.ident);
    let attributes = fields.iter().map(|field| {
        let attributes = &field.attributes;
        quote!(#(#attributes)*)
    });
    let types = fields.iter().map(|field| without_self(field.ty.to_token_stream(), &entity.ty));
    Some(quote! {
        #[derive(__stead::serde::Deserialize, __stead::schemars::JsonSchema)]
        #[serde(crate = "::stead_sdk::__private::serde", deny_unknown_fields)]
        #[schemars(crate = "::stead_sdk::__private::schemars", title = #title)]
        #[allow(non_camel_case_types)]
        struct #name { #(#attributes #idents: #types,)* }
    })
}

/// Within a struct of its own, `Self` would be that struct.
fn without_self(tokens: TokenStream, ty: &syn::Type) -> TokenStream {
    let replace = |token: TokenTree| match token {
        TokenTree::Ident(ident) if ident == "Self" => ty.to_token_stream(),
        TokenTree::Group(group) => {
            let inner = without_self(group.stream(), ty);
            TokenTree::Group(Group::new(group.delimiter(), inner)).into_token_stream()
        }
        other => other.into_token_stream(),
    };
    tokens.into_iter().flat_map(replace).collect()
}

/// The question what the method returns; see `stead_sdk`'s `answer.rs`.
fn returned(method: &Method) -> TokenStream {
    let returns = &method.returns;
    let span = at(returns);
    quote_spanned!(span=> &(&&&__stead::Returned::<#returns>::new()).kind())
}

fn describe(method: &Method) -> TokenStream {
    let name = &method.name.text;
    let summary = &method.summary;
    let request = match &method.arguments {
        Arguments::None => {
            quote!(__stead::Request { content_type: "", schema: ::std::option::Option::None })
        }
        Arguments::Fields(_) => {
            let name = struct_name(method);
            quote!(__stead::Request {
                content_type: __stead::JSON,
                schema: ::std::option::Option::Some(__stead::of_input::<#name>()),
            })
        }
        Arguments::Body { ty, content_type } => {
            let argument = quote_spanned!(at(ty)=> <#ty as ::stead_sdk::Argument>);
            let content_type = match content_type {
                Some(content_type) => quote!(#content_type),
                None => quote!(#argument::CONTENT_TYPE),
            };
            quote!(__stead::Request { content_type: #content_type, schema: #argument::schema() })
        }
    };
    let reply_type = match &method.reply_type {
        Some(reply_type) => quote!(::std::option::Option::Some(#reply_type)),
        None => quote!(::std::option::Option::None),
    };
    let returned = returned(method);
    let span = at(&method.returns);
    quote_spanned! {span=>
        __stead::operation::<Self, _>(#name, #summary, #request, #returned, #reply_type)
    }
}

/// The call of the method, with its arguments read from the body.
fn call(method: &Method) -> TokenStream {
    let ident = &method.ident;
    let context = method.has_context.then(|| quote!(__context,));
    let returned = returned(method);
    let (read, arguments) = match &method.arguments {
        Arguments::None => (quote!(__stead::parse_nothing(__body)?;), quote!()),
        Arguments::Fields(fields) => {
            let name = struct_name(method);
            let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
            (
                quote!(let __arguments = __stead::parse_fields::<#name>(__body)?;),
                quote!(#(__arguments.#idents),*),
            )
        }
        Arguments::Body { ty, .. } => (
            quote_spanned!(at(ty)=> let __argument = <#ty as ::stead_sdk::Argument>::decode(__body)?;),
            quote!(__argument),
        ),
    };
    let span = at(&method.returns);
    let answer = quote_spanned! {span=>
        __stead::answer::<Self, _>(#returned, self.#ident(#context #arguments))
    };
    quote!(#read #answer)
}

fn decide(method: &Method) -> TokenStream {
    let name = &method.name.text;
    let call = call(method);
    quote!(#name => { #call })
}

fn answer(method: &Method) -> TokenStream {
    let name = &method.name.text;
    let call = call(method);
    quote!(#name => {
        let __answer: ::std::result::Result<::stead_sdk::Answer<Self>, ::stead_sdk::Rejection> =
            { #call };
        ::std::result::Result::Ok(__answer?.into_reply(self))
    })
}
