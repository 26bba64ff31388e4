//! How a request is read, and what is answered where it can't be: parameters, paths and bodies with their bounds, all
//! refused as JSON. Must not know what is asked for. Called by the routes of the API.
use crate::http::problem::problem;
use crate::request::{Reason, Refusal};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use std::error::Error;

/// The longest word of a filter, a path or a name, in characters; a guess: longer than any id.
pub(super) const WORD_CHARS_MAX: usize = 200;

/// Up to here a double holds every whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a request was not carried out, as an answer.
#[derive(Debug)]
pub(super) struct Wrong {
    code: StatusCode,
    text: String,
}

impl Wrong {
    pub(super) fn new(code: StatusCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The request is none.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// There is no such thing.
    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// The state of things does not allow it.
    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }

    pub(super) fn no_desk() -> Self {
        Self::conflict("no desk runs here, so nothing can be written: `[desk] enabled = true` starts one")
    }

    /// A store can't be read or written; the answer has no cause, for it may name paths.
    pub(super) fn broken(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = zenei_store::with_causes(error), "a request met a store that does not answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "a store does not answer; zenei's log says why")
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        problem(self.code, &self.text)
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason {
            Reason::Unknown => Self::unknown(refusal.text),
            Reason::Malformed => Self::bad(refusal.text),
            Reason::Refused => Self::conflict(refusal.text),
            Reason::Broken => Self::broken(&refusal),
        }
    }
}

/// Runs what blocks apart from the tasks that serve.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Wrong> + Send + 'static,
) -> Result<T, Wrong> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Wrong::broken(&error)),
    }
}

/// The parameters after the `?`; unknown ones and those that come twice are refused.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Wrong;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Wrong> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Wrong::bad(format!("the parameters can't be used: {}", cause(&error)))),
        }
    }
}

/// What stands in the path.
#[derive(Debug)]
pub(super) struct In<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for In<T> {
    type Rejection = Wrong;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Wrong> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(within)) => Ok(Self(within)),
            Err(error) => Err(Wrong::unknown(format!("the path names nothing: {}", cause(&error)))),
        }
    }
}

/// A body in JSON; what is no JSON of this form, or is nested deeper than 128, is refused.
#[derive(Debug)]
pub(super) struct Said<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Said<T> {
    type Rejection = Wrong;

    async fn from_request(request: Request, state: &S) -> Result<Self, Wrong> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error: BytesRejection| Wrong::new(error.status(), "the body is too long, or ended early"))?;
        match read(&bytes) {
            Ok(said) => Ok(Self(said)),
            Err(error) => Err(Wrong::bad(format!("the body can't be used: {error}"))),
        }
    }
}

/// A value in JSON. A whole number may be written with a point, `7.0`, as JSON Schema has it and some programs do.
///
/// # Errors
/// What is no JSON of this form, and where.
pub(in crate::http) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| {
        let mut value: Json = serde_json::from_slice(bytes)?;
        if whole(&mut value) { serde_json::from_value(value).map_err(|_| error) } else { Err(error) }
    })
}

/// Writes whole numbers without a point; whether there was one. No deeper than the parser reads.
fn whole(value: &mut Json) -> bool {
    match value {
        Json::Number(number) => {
            let found = number.as_f64().filter(|it| number.is_f64() && it.fract() == 0.0 && it.abs() < WHOLE_MAX);
            let Some(found) = found else { return false };
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
            let found = found as i64;
            *value = Json::from(found);
            true
        }
        Json::Array(all) => all.iter_mut().fold(false, |any, value| whole(value) | any),
        Json::Object(fields) => fields.values_mut().fold(false, |any, value| whole(value) | any),
        Json::Null | Json::Bool(_) | Json::String(_) => false,
    }
}

/// The innermost cause, which names the field; the others say where in this program it was met.
fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    innermost.to_string()
}

/// A word to look for: 1 to [`WORD_CHARS_MAX`] characters of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let chars = text.chars().count();
        if (1..=WORD_CHARS_MAX).contains(&chars) {
            return Ok(Self(text));
        }
        Err(D::Error::custom(format!("a word has {chars} characters; 1 to {WORD_CHARS_MAX} are allowed")))
    }
}

/// A word that is stored and shown: a [`Word`] without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plain(pub(super) String);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Word(text) = Word::deserialize(from)?;
        if text.chars().any(char::is_control) {
            return Err(D::Error::custom("a word has control characters, which are not allowed there"));
        }
        Ok(Self(text))
    }
}

/// A whole number of a request, from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Within<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Within<MIN, MAX> {
    pub(super) const fn get(self) -> i64 {
        self.0
    }

    /// As a count.
    pub(super) fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or_default()
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let found = i64::deserialize(from)?;
        if (MIN..=MAX).contains(&found) {
            return Ok(Self(found));
        }
        Err(D::Error::custom(format!("a number is {found}; {MIN} to {MAX} are allowed")))
    }
}

/// A time of a request, ms since 1970: from there to the year 9999.
pub(super) type Millis = Within<0, 253_402_300_799_999>;
