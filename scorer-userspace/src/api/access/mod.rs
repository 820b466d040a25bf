//! Who may ask what: tokens and their roles, limits of requests, the audit trail.
//!
//! A token's secret is held against its Argon2id hash once; then the SHA-256 of the whole
//! token is remembered in memory. A token that is revoked is refused within a second.

mod role;
mod tokens;

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::HashMapStateStore,
};
use tokio::sync::Semaphore;

pub use role::Role;
pub use tokens::{Entry, Token, TokenError, Tokens};

pub(super) use role::{Peer, Principal};

use super::{Api, problem::Problem};

/// Secrets held against their hashes at a time: each takes a core and 19 MiB.
const PROVING: usize = 1;
/// Tokens remembered as proven.
const PROVEN: usize = 1_024;
/// Tokens that are not known, from one address: so many a second, and at once.
const WRONG: (u32, u32) = (1, 20);
/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// Who may ask.
pub(super) struct Access {
    path: Option<PathBuf>,
    file: Mutex<Option<(Tokens, i64)>>,
    known: RwLock<HashMap<String, Arc<Token>>>,
    /// SHA-256 of whole tokens, and the hash that each was proven by.
    proven: Mutex<HashMap<[u8; 32], (String, String)>>,
    proving: Semaphore,
    open: Option<Role>,
    rate: Limiter<String>,
    wrong: Limiter<IpAddr>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("path", &self.path).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests a second, and at once.
fn limiter<K: std::hash::Hash + Eq + Clone>(second: u32, burst: u32) -> Limiter<K> {
    let some = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    RateLimiter::hashmap(Quota::per_second(some(second)).allow_burst(some(burst)))
}

impl Access {
    /// By the tokens in a file; `open` is what a peer on loopback may do without one.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(super) fn new(
        path: Option<PathBuf>,
        open: Option<Role>,
        rate: u32,
    ) -> Result<Self, TokenError> {
        let this = Self {
            path,
            file: Mutex::default(),
            known: RwLock::default(),
            proven: Mutex::default(),
            proving: Semaphore::new(PROVING),
            open,
            rate: limiter(rate, rate.saturating_mul(2)),
            wrong: limiter(WRONG.0, WRONG.1),
        };
        this.look()?;
        Ok(this)
    }

    /// Takes up what has changed in the file.
    fn look(&self) -> Result<(), TokenError> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut file = lock(&self.file);
        let (tokens, seen) = match &mut *file {
            Some(open) => open,
            none => none.insert((Tokens::open(path)?, -1)),
        };
        let version = tokens.version()?;
        if version == *seen {
            return Ok(());
        }
        let list = tokens.list()?;
        *seen = version;
        let known = list.into_iter().map(|token| (token.id.clone(), Arc::new(token))).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Looks at the file for ever.
    pub(super) async fn watch(api: &Arc<Api>) {
        let mut told = false;
        loop {
            tokio::time::sleep(LOOK).await;
            let at = Arc::clone(api);
            let looked = tokio::task::spawn_blocking(move || {
                at.access.rate.retain_recent();
                at.access.wrong.retain_recent();
                at.access.look()
            });
            match looked.await {
                Ok(Ok(())) => told = false,
                Ok(Err(error)) if !told => {
                    told = true;
                    log::error!("{error}; the tokens known stay in use");
                }
                _ => {}
            }
        }
    }

    /// Who asks.
    async fn who(api: &Arc<Api>, peer: Peer, headers: &HeaderMap) -> Result<Principal, Problem> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return match (peer, api.access.open) {
                (Peer::Unix(uid), _) => Ok(Principal { name: user(uid), role: Role::Admin }),
                (Peer::Tcp { from, tls: false }, Some(role)) if from.is_loopback() => {
                    Ok(Principal { name: "loopback".into(), role })
                }
                _ => Err(Problem::unknown_peer(
                    "a token is needed: Authorization: Bearer TOKEN; `scorer token add` makes one",
                )),
            };
        };
        let wrong = || Problem::unknown_peer("the token is not known, revoked or over");
        let text = value.to_str().map_err(|_| wrong())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(wrong)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(wrong());
        }
        let token = token.trim();
        let (id, secret) = tokens::parts(token).ok_or_else(wrong)?;
        let digest: [u8; 32] = ring::digest::digest(&ring::digest::SHA256, token.as_bytes())
            .as_ref()
            .try_into()
            .map_err(|_| wrong())?;
        let this = &api.access;
        let known = {
            let known = this.known.read().unwrap_or_else(PoisonError::into_inner);
            known.get(id).cloned()
        };
        let now = jiff::Timestamp::now().as_second();
        let is_proven = |token: &Token| {
            lock(&this.proven)
                .get(&digest)
                .is_some_and(|(id, hash)| *id == token.id && *hash == token.hash())
        };
        if let Some(known) = &known
            && known.holds(now)
            && is_proven(known)
        {
            return Ok(Principal { name: known.name.clone(), role: known.role });
        }
        // From here on it costs something, or is a guess.
        if let Peer::Tcp { from, .. } = peer
            && let Err(until) = this.wrong.check_key(&from)
        {
            let wait = until.wait_time_from(DefaultClock::default().now());
            return Err(Problem::too_many(
                "too many tokens that are not known",
                wait.as_secs() + 1,
            ));
        }
        let known = match known {
            Some(known) => known,
            None => this.made_just_now(api, id).await?.ok_or_else(wrong)?,
        };
        if !known.holds(now) {
            return Err(wrong());
        }
        let _place = this.proving.acquire().await.map_err(|error| Problem::internal(&error))?;
        let (at, secret) = (Arc::clone(&known), secret.to_owned());
        let proven = tokio::task::spawn_blocking(move || at.is(&secret)).await;
        if !proven.map_err(|error| Problem::internal(&error))? {
            return Err(wrong());
        }
        let mut all = lock(&this.proven);
        if all.len() >= PROVEN {
            all.clear();
        }
        all.insert(digest, (known.id.clone(), known.hash().to_owned()));
        Ok(Principal { name: known.name.clone(), role: known.role })
    }

    /// A token that was made since the file was looked at.
    async fn made_just_now(&self, api: &Arc<Api>, id: &str) -> Result<Option<Arc<Token>>, Problem> {
        let at = Arc::clone(api);
        let looked = tokio::task::spawn_blocking(move || at.access.look()).await;
        looked
            .map_err(|error| Problem::internal(&error))?
            .map_err(|error| Problem::internal(&error))?;
        Ok(self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned())
    }

    /// Runs `work` on the file.
    pub(super) async fn with<T: Send + 'static>(
        api: &Arc<Api>,
        work: impl FnOnce(&Tokens) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, Problem> {
        let at = Arc::clone(api);
        let done = tokio::task::spawn_blocking(move || {
            at.access.look()?;
            let file = lock(&at.access.file);
            file.as_ref().map(|(tokens, _)| work(tokens)).transpose()
        });
        let done = done.await.map_err(|error| Problem::internal(&error))?;
        done.map_err(|error| Problem::internal(&error))?.ok_or_else(no_store)
    }
}

/// There is nowhere to write down who changed what.
pub(super) fn no_store() -> Problem {
    Problem::not_found("no store is configured (lists.store), in which changes are written down")
}

/// A user of this host.
fn user(uid: u32) -> String {
    let known = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    known.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// What a handler says that it changed, for the audit trail.
#[derive(Clone, Debug)]
pub(super) struct Changed(pub(super) String);

/// Lets in who may ask, and writes down what was changed.
pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.ok_or_else(|| Problem::unknown_peer("it is not known who asks"))?;
    same_site(peer, request.headers())?;
    let who = Access::who(&api, peer, request.headers()).await?;
    if let Err(until) = api.access.rate.check_key(&who.name) {
        let wait = until.wait_time_from(DefaultClock::default().now());
        return Err(Problem::too_many("too many requests; ask more slowly", wait.as_secs() + 1));
    }
    let method = request.method().clone();
    let asks = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS)
        || request.uri().path() == "/v1/policy/simulate";
    request.extensions_mut().insert(who.clone());
    if asks {
        return Ok(next.run(request).await);
    }
    if who.role >= Role::Analyst && api.access.path.is_none() {
        return Err(no_store());
    }
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if api.access.path.is_none() {
        return Ok(response);
    }
    let entry = Entry {
        id: 0,
        at: jiff::Timestamp::now().as_second(),
        who: who.name,
        role: who.role.name().to_owned(),
        peer: peer.to_string(),
        what: format!("{method} {path}"),
        status: response.status().as_u16(),
        object: response
            .extensions()
            .get::<Changed>()
            .map(|changed| changed.0.clone())
            .unwrap_or_default(),
    };
    Access::with(&api, move |tokens| tokens.note(&entry)).await?;
    Ok(response)
}

/// A page of another site must not ask in a user's name: where loopback is open there is
/// no token that it would have to know.
fn same_site(peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if matches!(site, Some("cross-site" | "same-site")) {
        return Err(Problem::forbidden("a page of another site asks"));
    }
    let host = text(header::HOST).unwrap_or_default();
    if let Some(origin) = text(header::ORIGIN)
        && origin.split_once("://").map(|(_, host)| host) != Some(host)
    {
        return Err(Problem::forbidden("a page of another site asks"));
    }
    // A name that somebody else has pointed at this host (DNS rebinding).
    let local = matches!(peer, Peer::Tcp { from, tls: false } if from.is_loopback());
    if local && !host.is_empty() && !is_loopback(host) {
        return Err(Problem::forbidden("ask as localhost or by the loopback address"));
    }
    Ok(())
}

/// Whether a Host header means this host.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn at_least(parts: &Parts, least: Role) -> Result<Principal, Problem> {
    let who = parts.extensions.get::<Principal>().cloned();
    let who = who.ok_or_else(|| Problem::unknown_peer("it is not known who asks"))?;
    if who.role < least {
        return Err(Problem::forbidden(format!(
            "this is for {} and above; {} is {}",
            least.name(),
            who.name,
            who.role.name()
        )));
    }
    Ok(who)
}

macro_rules! roles {
    ($($(#[doc = $doc:literal])+ $name:ident = $role:expr;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub(super) struct $name(pub(super) Principal);

            impl<S: Send + Sync> FromRequestParts<S> for $name {
                type Rejection = Problem;

                async fn from_request_parts(
                    parts: &mut Parts,
                    _: &S,
                ) -> Result<Self, Self::Rejection> {
                    at_least(parts, $role).map(Self)
                }
            }
        )+
    };
}

roles! {
    /// Anybody who is let in.
    Viewer = Role::Viewer;
    /// An analyst or more.
    Analyst = Role::Analyst;
    /// An admin.
    Admin = Role::Admin;
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn hosts_that_are_this_one() {
        for host in
            ["localhost", "LOCALHOST:8600", "127.0.0.1:8600", "127.1.2.3", "[::1]:1", "[::1]"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example:80", "192.0.2.1", "[2001:db8::1]:1", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
