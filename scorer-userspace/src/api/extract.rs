//! What is asked, read with errors as problems.

use std::{collections::HashMap, str::FromStr};

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Parameters of the query; what is not taken out of them is refused.
#[derive(Debug)]
pub(super) struct Asked(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let asked = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = asked.map_err(|error| Problem::wrong(error.body_text()))?;
        let mut all = HashMap::new();
        for (name, value) in pairs {
            if value.contains('\0') {
                return Err(Problem::wrong("a parameter has a zero byte"));
            }
            if let Some(_before) = all.insert(name, value) {
                return Err(Problem::wrong("a parameter stands there twice"));
            }
        }
        Ok(Self(all))
    }
}

impl Asked {
    /// One of them; an empty one is none.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|text| !text.is_empty())
    }

    /// A number.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| Problem::wrong(format!("{name} is a whole number")))
            })
            .transpose()
    }

    /// Sees that there are no others.
    ///
    /// # Errors
    /// When there are.
    pub(super) fn done(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(60).collect();
                Err(Problem::wrong(format!("there is no parameter {name:?} here")))
            }
        }
    }
}

/// Parts of the path, percent-decoded.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::<T>::from_request_parts(parts, state).await;
        named.map(|Path(named)| Self(named)).map_err(|error| Problem::wrong(error.body_text()))
    }
}

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(error) if error.status() == StatusCode::UNPROCESSABLE_ENTITY => {
                Err(Problem::invalid(error.body_text()))
            }
            Err(error) => Err(Problem::of(error.status(), error.body_text())),
        }
    }
}
