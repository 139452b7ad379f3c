//! `#[entity]`: reads an `impl`, gives it back without the macro's own
//! attributes, and adds the trait's implementation.

mod code;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{
    Attribute, Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Result, Type, spanned::Spanned,
};

use crate::{
    attributes, docs,
    method::{Method, Role},
    names,
};

/// All that the `impl` says.
struct Entity {
    ty: Type,
    summary: String,
    methods: Vec<Method>,
    apply: Apply,
    snapshot: Option<Snapshot>,
}

/// The function that folds.
struct Apply {
    event: Type,
    by_reference: bool,
}

/// Functions that snapshot in a form of their own.
struct Snapshot {
    save: Ident,
    restore: Ident,
}

pub fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), "`#[entity]` takes no arguments"));
    }
    let mut item: ItemImpl = syn::parse2(item).map_err(|error| {
        Error::new(
            error.span(),
            format!("`#[entity]` goes above `impl YourState {{ … }}`, with its commands, queries and `apply`: {error}"),
        )
    })?;
    let entity = Entity::read(&mut item)?;
    let mut expanded = item.into_token_stream();
    expanded.extend(code::implementation(&entity));
    Ok(expanded)
}

impl Entity {
    fn read(item: &mut ItemImpl) -> Result<Self> {
        if let Some((_, path, _)) = &item.trait_ {
            return Err(Error::new(
                path.span(),
                "`#[entity]` goes above a plain `impl YourState { … }`, not the `impl` of a trait",
            ));
        }
        if !item.generics.params.is_empty() {
            return Err(Error::new(
                item.generics.span(),
                "an entity can't be generic: a component is one type of entity",
            ));
        }
        let ty = (*item.self_ty).clone();
        let (mut methods, mut apply) = (Vec::new(), None);
        let (mut save, mut restore) = (None, None);
        let mut errors = None;
        for function in item.items.iter_mut().filter_map(as_function) {
            let read = Self::read_function(function, &mut methods, &mut apply);
            collect(&mut errors, read);
            for (name, slot) in [("snapshot", &mut save), ("restore", &mut restore)] {
                if !attributes::take(&mut function.attrs, name).is_empty() {
                    *slot = Some(function.sig.ident.clone());
                }
            }
        }
        let names = methods.iter().map(|method| (method.role.word(), &method.name));
        collect(&mut errors, names::refuse_duplicates(names));
        let snapshot = match (save, restore) {
            (Some(save), Some(restore)) => Some(Snapshot { save, restore }),
            (None, None) => None,
            (Some(only), None) | (None, Some(only)) => {
                let message =
                    "`#[snapshot]` and `#[restore]` go together: one reads what the other writes";
                collect(&mut errors, Err(Error::new(only.span(), message)));
                None
            }
        };
        if apply.is_none() && errors.is_none() {
            errors = Some(Error::new(
                ty.span(),
                "the `impl` lacks `fn apply(&mut self, event: YourEvent)`, which folds one event into the state",
            ));
        }
        match (errors, apply) {
            (None, Some(apply)) => {
                Ok(Self { ty, summary: docs::summary(&item.attrs), methods, apply, snapshot })
            }
            (errors, _) => {
                Err(errors.unwrap_or_else(|| Error::new(Span::call_site(), "no `apply`")))
            }
        }
    }

    fn read_function(
        function: &mut ImplItemFn,
        methods: &mut Vec<Method>,
        apply: &mut Option<Apply>,
    ) -> Result<()> {
        let commands = attributes::take(&mut function.attrs, "command");
        let queries = attributes::take(&mut function.attrs, "query");
        let mut marks: Vec<(Role, Attribute)> = Vec::new();
        marks.extend(commands.into_iter().map(|attribute| (Role::Command, attribute)));
        marks.extend(queries.into_iter().map(|attribute| (Role::Query, attribute)));
        match marks.as_slice() {
            [] => {
                if function.sig.ident == "apply" {
                    *apply = Some(read_apply(function)?);
                }
            }
            [(role, attribute)] => methods.push(Method::read(*role, attribute, function)?),
            [_, (_, second), ..] => {
                return Err(Error::new(
                    second.span(),
                    "a method is one command or one query, not more: a query can't record, and a command must not be asked for as a query",
                ));
            }
        }
        Ok(())
    }
}

fn as_function(item: &mut ImplItem) -> Option<&mut ImplItemFn> {
    match item {
        ImplItem::Fn(function) => Some(function),
        _ => None,
    }
}

/// Adds an error to those found so far, so that an author sees all at once.
fn collect(errors: &mut Option<Error>, result: Result<()>) {
    match (errors.as_mut(), result) {
        (_, Ok(())) => {}
        (Some(errors), Err(error)) => errors.combine(error),
        (None, Err(error)) => *errors = Some(error),
    }
}

fn read_apply(function: &ImplItemFn) -> Result<Apply> {
    let signature = &function.sig;
    let wrong = |span: Span| {
        Err(Error::new(
            span,
            "`apply` is `fn apply(&mut self, event: YourEvent)`: it folds one event into the state, and can neither fail nor answer",
        ))
    };
    match signature.receiver() {
        Some(receiver) if receiver.reference.is_some() && receiver.mutability.is_some() => {}
        other => return wrong(other.map_or(signature.ident.span(), Spanned::span)),
    }
    if signature.asyncness.is_some() || !signature.generics.params.is_empty() {
        return wrong(signature.span());
    }
    if let syn::ReturnType::Type(_, ty) = &signature.output {
        return wrong(ty.span());
    }
    let mut parameters = signature.inputs.iter().skip(1);
    match (parameters.next(), parameters.next()) {
        (Some(FnArg::Typed(parameter)), None) => Ok(match &*parameter.ty {
            Type::Reference(reference) => {
                Apply { event: (*reference.elem).clone(), by_reference: true }
            }
            ty => Apply { event: ty.clone(), by_reference: false },
        }),
        (_, _) => wrong(signature.inputs.span()),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[track_caller]
    fn check(item: TokenStream, message: &str) {
        let error = expand(TokenStream::new(), item).expect_err("an error");
        let found: Vec<_> = error.into_iter().map(|error| error.to_string()).collect();
        assert!(found.iter().any(|found| found.contains(message)), "{found:?}");
    }

    fn apply() -> TokenStream {
        quote!(
            fn apply(&mut self, event: CartEvent) {}
        )
    }

    #[test]
    fn a_command_takes_self_by_shared_reference() {
        let apply = apply();
        for receiver in [quote!(&mut self,), quote!(self,), quote!()] {
            check(
                quote!(impl Cart { #[command] fn add(#receiver ctx: &mut Context<Self>) {} #apply }),
                "a command takes `&self`",
            );
        }
    }

    #[test]
    fn a_command_takes_a_context_and_a_query_only_its_own() {
        let apply = apply();
        check(
            quote!(impl Cart { #[command] fn add(&self, sku: String) {} #apply }),
            "a command takes `ctx: &mut Context<Self>`",
        );
        check(
            quote!(impl Cart { #[command] fn add(&self, ctx: &Context<Self>) {} #apply }),
            "a command's context is `&mut Context<Self>`",
        );
        check(
            quote!(impl Cart { #[query] fn total(&self, ctx: &mut Context<Self>) -> u32 { 0 } #apply }),
            "a query's context is `&QueryContext`",
        );
        check(
            quote!(impl Cart { #[query] fn total(&mut self) -> u32 { 0 } #apply }),
            "a query takes `&self`",
        );
    }

    #[test]
    fn an_entity_folds() {
        check(quote!(impl Cart {}), "lacks `fn apply(&mut self, event: YourEvent)`");
        for signature in [
            quote!(apply(&self, event: CartEvent)),
            quote!(apply(&mut self)),
            quote!(apply(&mut self, event: CartEvent, more: u32)),
            quote!(apply(&mut self, event: CartEvent) -> bool),
        ] {
            check(quote!(impl Cart { fn #signature {} }), "`apply` is `fn apply(&mut self");
        }
    }

    #[test]
    fn names_are_used_once() {
        let apply = apply();
        check(
            quote!(impl Cart {
                #[command] fn add(&self, ctx: &mut Context<Self>) {}
                #[query(name = "add")] fn added(&self) -> u32 { 0 }
                #apply
            }),
            "the query \"add\" has the name of another command",
        );
        check(
            quote!(impl Cart { #[command] #[query] fn add(&self) {} #apply }),
            "a method is one command or one query",
        );
        check(
            quote!(impl Cart { #[query(name = "Total")] fn total(&self) -> u32 { 0 } #apply }),
            "\"Total\" is no name that callers can use",
        );
    }

    #[test]
    fn arguments_are_owned_and_named_or_the_body() {
        let apply = apply();
        let command = |parameters: TokenStream| quote!(impl Cart { #[command] fn add(&self, ctx: &mut Context<Self>, #parameters) {} #apply });
        check(command(quote!(sku: &str)), "an argument is owned");
        check(command(quote!((a, b): (u8, u8))), "a parameter has a plain name");
        check(command(quote!(#[body] item: Item, more: u8)), "`#[body]` is the whole body");
        check(command(quote!(#[body] a: A, #[body] b: B)), "there is one body");
        check(command(quote!(#[body(kind = "x")] a: A)), "expected `content_type");
    }

    #[test]
    fn misplaced_and_impossible_things_are_named() {
        let apply = apply();
        check(
            quote!(
                struct Cart {}
            ),
            "`#[entity]` goes above `impl YourState",
        );
        check(
            quote!(impl Default for Cart { fn default() -> Self {} }),
            "not the `impl` of a trait",
        );
        check(quote!(impl<T> Cart<T> { #apply }), "an entity can't be generic");
        check(
            quote!(impl Cart { #[query] async fn total(&self) -> u32 { 0 } #apply }),
            "never waits",
        );
        check(
            quote!(impl Cart { #[query] fn total<T>(&self, t: T) -> u32 { 0 } #apply }),
            "can't be generic",
        );
        check(
            quote!(impl Cart { #[query] fn total(&self) -> impl Serialize { 0 } #apply }),
            "must be named",
        );
        check(
            quote!(impl Cart { #[snapshot] fn save(&self) -> Vec<u8> { vec![] } #apply }),
            "go together",
        );
    }

    #[test]
    fn all_errors_are_shown_at_once() {
        let error = expand(
            TokenStream::new(),
            quote!(impl Cart {
                #[command] fn a(&mut self, ctx: &mut Context<Self>) {}
                #[command] fn b(self, ctx: &mut Context<Self>) {}
            }),
        )
        .expect_err("errors");
        assert_eq!(error.into_iter().count(), 2);
    }
}
