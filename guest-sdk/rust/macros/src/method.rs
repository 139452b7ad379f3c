//! One command or query: what its signature says.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Attribute, Error, FnArg, Ident, ImplItemFn, LitStr, Pat, Result, ReturnType, Type,
    spanned::Spanned,
};

use crate::{attributes, docs, names::Name};

/// Whether a method may record events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Command,
    Query,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Query => "query",
        }
    }
}

/// A command or a query.
pub struct Method {
    pub role: Role,
    pub name: Name,
    pub ident: Ident,
    pub summary: String,
    pub has_context: bool,
    pub arguments: Arguments,
    pub returns: TokenStream,
    pub reply_type: Option<LitStr>,
}

/// How callers pass the arguments.
pub enum Arguments {
    /// Not at all.
    None,
    /// As the fields of an object.
    Fields(Vec<Field>),
    /// As the whole body.
    Body { ty: Box<Type>, content_type: Option<LitStr> },
}

/// A parameter that is a field of the caller's object.
pub struct Field {
    pub ident: Ident,
    pub ty: Type,
    pub attributes: Vec<Attribute>,
}

impl Method {
    /// Reads a method, and takes out of it what only the macro understands.
    pub fn read(role: Role, attribute: &Attribute, function: &mut ImplItemFn) -> Result<Self> {
        let mut name = Name::of_ident(&function.sig.ident);
        let mut reply_type = None;
        attributes::read(attribute, |meta| {
            match attributes::key(&meta.path).as_str() {
                "name" => name = Name::of_literal(&attributes::text(&meta)?),
                "reply_type" => reply_type = Some(attributes::text(&meta)?),
                _ => return Err(meta.error("expected `name = \"…\"` or `reply_type = \"…\"`")),
            }
            Ok(())
        })?;
        check_signature(role, function)?;
        let ident = function.sig.ident.clone();
        let whole = ident.span();
        let mut parameters = function.sig.inputs.iter_mut().skip(1).peekable();
        let has_context = match parameters.peek() {
            Some(parameter) => is_context(role, parameter)?,
            None => false,
        };
        if has_context {
            parameters.next();
        } else if role == Role::Command {
            return Err(Error::new(
                whole,
                "a command takes `ctx: &mut Context<Self>` after `&self`: it is where the events go",
            ));
        }
        let arguments = read_arguments(parameters)?;
        let returns = match &function.sig.output {
            ReturnType::Default => quote!(()),
            ReturnType::Type(_, ty) => {
                if let Type::ImplTrait(_) = **ty {
                    return Err(Error::new(
                        ty.span(),
                        "a reply's type must be named, so that its JSON Schema can be given: `impl Trait` can't",
                    ));
                }
                ty.to_token_stream()
            }
        };
        let summary = docs::summary(&function.attrs);
        let name = name?;
        Ok(Self { role, name, ident, summary, has_context, arguments, returns, reply_type })
    }
}

fn check_signature(role: Role, function: &ImplItemFn) -> Result<()> {
    let word = role.word();
    let signature = &function.sig;
    let fail = |span: proc_macro2::Span, message: String| Err(Error::new(span, message));
    if let Some(asyncness) = &signature.asyncness {
        return fail(
            asyncness.span(),
            format!(
                "a {word} never waits, so it can't be `async`: what takes time is for the host to do"
            ),
        );
    }
    if !signature.generics.params.is_empty() {
        return fail(
            signature.generics.span(),
            format!("a {word} can't be generic: callers send JSON of one form"),
        );
    }
    match signature.receiver() {
        Some(receiver)
            if receiver.reference.is_some()
                && receiver.mutability.is_none()
                && receiver.colon_token.is_none() =>
        {
            Ok(())
        }
        other => {
            let span = other.map_or(signature.ident.span(), Spanned::span);
            fail(
                span,
                match role {
                    Role::Command => "a command takes `&self`: it decides and records events, and only `apply` changes the state".into(),
                    Role::Query => "a query takes `&self`: it must not change the state".into(),
                },
            )
        }
    }
}

/// Whether a parameter is the context; an error if it is one of the wrong kind.
fn is_context(role: Role, parameter: &FnArg) -> Result<bool> {
    let FnArg::Typed(parameter) = parameter else { return Ok(false) };
    let (inner, reference) = match &*parameter.ty {
        Type::Reference(reference) => (&*reference.elem, Some(reference)),
        other => (other, None),
    };
    let Type::Path(path) = inner else { return Ok(false) };
    let last = path.path.segments.last().map(|segment| segment.ident.to_string());
    let mutable = reference.is_some_and(|reference| reference.mutability.is_some());
    match (role, last.as_deref()) {
        (Role::Command, Some("Context")) if mutable => Ok(true),
        (Role::Query, Some("QueryContext")) if reference.is_some() && !mutable => Ok(true),
        (Role::Command, Some("Context" | "QueryContext")) => {
            Err(Error::new(parameter.ty.span(), "a command's context is `&mut Context<Self>`"))
        }
        (Role::Query, Some("Context" | "QueryContext")) => Err(Error::new(
            parameter.ty.span(),
            "a query's context is `&QueryContext`: it records no events",
        )),
        (_, _) => Ok(false),
    }
}

fn read_arguments<'a>(parameters: impl Iterator<Item = &'a mut FnArg>) -> Result<Arguments> {
    let mut fields = Vec::new();
    let mut body = None;
    for parameter in parameters {
        let FnArg::Typed(parameter) = parameter else {
            return Err(Error::new(parameter.span(), "`self` comes first"));
        };
        if let Type::Reference(reference) = &*parameter.ty {
            return Err(Error::new(
                reference.span(),
                "an argument is owned, for it is read from the caller's body: `String` instead of `&str`, `Vec<T>` instead of `&[T]`",
            ));
        }
        if let Some(attribute) = attributes::take(&mut parameter.attrs, "body").first() {
            let mut content_type = None;
            attributes::read(attribute, |meta| match attributes::key(&meta.path).as_str() {
                "content_type" => {
                    content_type = Some(attributes::text(&meta)?);
                    Ok(())
                }
                _ => Err(meta.error("expected `content_type = \"…\"`")),
            })?;
            let span = parameter.span();
            if body.replace((span, parameter.ty.clone(), content_type)).is_some() {
                return Err(Error::new(span, "there is one body, so one `#[body]`"));
            }
            continue;
        }
        let Pat::Ident(pattern) = &*parameter.pat else {
            return Err(Error::new(
                parameter.pat.span(),
                "a parameter has a plain name, which is its field's name in the caller's JSON; or mark it `#[body]`",
            ));
        };
        let attributes = attributes::kept(&parameter.attrs).cloned().collect();
        parameter.attrs.retain(|attribute| {
            !["serde", "schemars", "doc"].iter().any(|name| attribute.path().is_ident(name))
        });
        let ident = pattern.ident.clone();
        fields.push(Field { ident, ty: (*parameter.ty).clone(), attributes });
    }
    match (body, fields.is_empty()) {
        (Some((_, ty, content_type)), true) => Ok(Arguments::Body { ty, content_type }),
        (Some((span, _, _)), false) => Err(Error::new(
            span,
            "`#[body]` is the whole body, so it is the only argument; without it, every parameter is a field",
        )),
        (None, true) => Ok(Arguments::None),
        (None, false) => Ok(Arguments::Fields(fields)),
    }
}
