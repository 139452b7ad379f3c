//! The macros of `stead-sdk`, which documents them: they are re-exported there.

use proc_macro::TokenStream;

mod attributes;
mod docs;
mod entity;
mod event;
mod method;
mod names;
mod rejection;

/// Makes an entity of a plain `impl` with commands, queries and `apply`.
///
/// Within the `impl`:
///
/// - `#[command] fn name(&self, ctx: &mut Context<Self>, …)` handles the command
///   `name`. Its parameters are the fields of the JSON object that callers send;
///   fields that no parameter names are refused. A parameter may carry serde's
///   attributes: `#[serde(default)] quantity: u32`. A single parameter marked
///   `#[body]` is the whole body instead, whatever JSON it is, or
///   `Bytes`: then `#[body(content_type = "…")]`
///   says of which type.
/// - `#[query] fn name(&self, …)` answers the query `name`; a parameter
///   `ctx: &QueryContext` before the others is optional.
/// - `fn apply(&mut self, event: TheEvent)` folds one event. It may take the
///   event by reference, which saves nothing.
/// - All other functions are left alone.
///
/// Methods return a value, `ctx.after(…)`, or nothing, or a `Result` of one of
/// these whose error can become a `Rejection`. `snake_case` names become
/// `kebab-case`; `#[command(name = "…")]` says otherwise, and
/// `#[command(reply_type = "…")]` gives the reply another content type. The first
/// paragraph of a doc comment becomes the summary that callers see.
///
/// Snapshots are the state as compact JSON. For another form, mark
/// `#[snapshot] fn …(&self) -> Vec<u8>` and
/// `#[restore] fn …(bytes: &[u8]) -> Result<Self, String>`.
#[proc_macro_attribute]
pub fn entity(attributes: TokenStream, item: TokenStream) -> TokenStream {
    finish(entity::expand(attributes.into(), item.into()))
}

/// Makes events of an enum.
///
/// A variant has named fields, or none, or holds one value that is the whole
/// body. Its name in the journal is the variant's in `kebab-case`;
/// `#[event(name = "…")]` says otherwise. `#[event(alias = "…")]`, as often as
/// needed, names kinds that earlier versions recorded and that are read as this
/// one. `#[event(content_type = "…")]` on a variant that holds `Bytes` keeps them
/// as they are. Fields may carry serde's and schemars' attributes.
#[proc_macro_derive(Event, attributes(event, serde, schemars))]
pub fn event(item: TokenStream) -> TokenStream {
    finish(event::expand(item.into()))
}

/// Makes rejections of an enum.
///
/// A variant's code is its name in `kebab-case`, or what `#[reject(code = "…")]`
/// says; its status is 422, or what `#[reject(status = 409)]` says. Its message
/// is `#[reject(message = "There is no {sku} here.")]`, in which fields can be
/// named, or the first paragraph of its doc comment as it stands. Its fields
/// become the details, a JSON object, unless it says `#[reject(no_details)]`.
#[proc_macro_derive(Rejection, attributes(reject))]
pub fn rejection(item: TokenStream) -> TokenStream {
    finish(rejection::expand(item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}
