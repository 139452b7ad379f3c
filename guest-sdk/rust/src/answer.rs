//! What a method may return, and how it becomes the answer to the caller.
//!
//! A command may return a value, or an [`After`], or nothing, and each of these
//! within a `Result`. No trait can tell `Result<T, E>` from any other `T` that
//! `serde` can write, so the macro asks by method call on
//! `&&&Returned<ReturnType>`: of the traits below, that whose receiver is the
//! nearest wins, and the catch-all is the farthest. What it gives is a type that
//! says how to go on, and whose own bounds make the error when they don't hold.

use std::marker::PhantomData;

use crate::{After, Entity, Rejection, Reply};

/// Works out a reply from the state that the events lead to.
pub type Encode<E> = Box<dyn FnOnce(&E) -> Vec<u8>>;

/// How an answer is made.
pub enum Answer<E> {
    /// It is ready.
    Ready(Vec<u8>),
    /// It is worked out from the state that the events lead to.
    After(Encode<E>),
}

impl<E> Answer<E> {
    /// The reply, now that the state is what the events led to.
    pub fn into_reply(self, state: &E) -> Vec<u8> {
        match self {
            Self::Ready(reply) => reply,
            Self::After(encode) => encode(state),
        }
    }
}

/// What the macro goes on with when it knows what a method returns.
pub trait Kind<E> {
    /// What the method returns.
    type Returned;
    /// The content type of the reply; empty if the reply is.
    const CONTENT_TYPE: &'static str;

    /// The JSON Schema of the reply.
    fn schema() -> Option<String>;

    /// Makes the answer of what the method returned.
    ///
    /// # Errors
    /// The rejection, if it is one.
    fn answer(returned: Self::Returned) -> Result<Answer<E>, Rejection>;
}

/// A method's return type, to be asked what it is.
pub struct Returned<T>(PhantomData<fn() -> T>);

impl<T> Returned<T> {
    /// The question.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only the macros make it")]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// Return types that are told from others first: nothing, and [`After`].
pub trait Special {
    /// What it is.
    type Kind;

    /// What it is.
    fn kind(&self) -> Self::Kind;
}

/// Then any other `Result`.
pub trait OrResult {
    /// What it is.
    type Kind;

    /// What it is.
    fn kind(&self) -> Self::Kind;
}

/// Then the rest.
pub trait OrPlain {
    /// What it is.
    type Kind;

    /// What it is.
    fn kind(&self) -> Self::Kind;
}

/// It returns nothing.
pub struct Nothing;
/// It returns an [`After`].
pub struct Later<E, T: ?Sized>(PhantomData<After<E, T>>);
/// It returns a value.
pub struct Plain<T>(PhantomData<T>);
/// It returns one of the others, or a rejection.
pub struct Fallible<K, R>(PhantomData<(K, R)>);

impl Special for &&Returned<()> {
    type Kind = Nothing;

    fn kind(&self) -> Nothing {
        Nothing
    }
}

impl<R> Special for &&Returned<Result<(), R>> {
    type Kind = Fallible<Nothing, R>;

    fn kind(&self) -> Self::Kind {
        Fallible(PhantomData)
    }
}

impl<E, T: ?Sized> Special for &&Returned<After<E, T>> {
    type Kind = Later<E, T>;

    fn kind(&self) -> Self::Kind {
        Later(PhantomData)
    }
}

impl<E, T: ?Sized, R> Special for &&Returned<Result<After<E, T>, R>> {
    type Kind = Fallible<Later<E, T>, R>;

    fn kind(&self) -> Self::Kind {
        Fallible(PhantomData)
    }
}

impl<T, R> OrResult for &Returned<Result<T, R>> {
    type Kind = Fallible<Plain<T>, R>;

    fn kind(&self) -> Self::Kind {
        Fallible(PhantomData)
    }
}

impl<T> OrPlain for Returned<T> {
    type Kind = Plain<T>;

    fn kind(&self) -> Self::Kind {
        Plain(PhantomData)
    }
}

impl<E> Kind<E> for Nothing {
    type Returned = ();
    const CONTENT_TYPE: &'static str = "";

    fn schema() -> Option<String> {
        None
    }

    fn answer((): ()) -> Result<Answer<E>, Rejection> {
        Ok(Answer::Ready(Vec::new()))
    }
}

impl<E: Entity, T: Reply + ?Sized> Kind<E> for Later<E, T> {
    type Returned = After<E, T>;
    const CONTENT_TYPE: &'static str = T::CONTENT_TYPE;

    fn schema() -> Option<String> {
        T::schema()
    }

    fn answer(returned: After<E, T>) -> Result<Answer<E>, Rejection> {
        Ok(returned.into())
    }
}

impl<E, T: Reply> Kind<E> for Plain<T> {
    type Returned = T;
    const CONTENT_TYPE: &'static str = T::CONTENT_TYPE;

    fn schema() -> Option<String> {
        T::schema()
    }

    fn answer(returned: T) -> Result<Answer<E>, Rejection> {
        Ok(Answer::Ready(returned.encode()))
    }
}

impl<E, K: Kind<E>, R: Into<Rejection>> Kind<E> for Fallible<K, R> {
    type Returned = Result<K::Returned, R>;
    const CONTENT_TYPE: &'static str = K::CONTENT_TYPE;

    fn schema() -> Option<String> {
        K::schema()
    }

    fn answer(returned: Self::Returned) -> Result<Answer<E>, Rejection> {
        K::answer(returned.map_err(Into::into)?)
    }
}
