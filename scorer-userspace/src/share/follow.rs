//! Follows the consortium beside scoring: asks the hub for members and keys, takes events
//! from its NATS server, keeps those that are believed, and hands their index over. A
//! thread of its own; without hub and server it goes on with what is known.

mod blindly;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use tokio::sync::oneshot;

use self::blindly::Blind;
use super::{
    ConsortiumConfig, Directory, Home, HubClient, Index, MEMBERS, Mode, Refusal, ShareError, Stats,
    Store,
    ask::Asker,
    event::{Event, Kind, Signed},
    guard::Guard,
    index::Report,
    nats::{Connection, LIVE, Stored},
    now,
};

/// Events of one member that are kept; the oldest makes room.
const EVENTS: usize = 100_000;
/// How often the server is asked what was missed, and the store told how things stand.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is looked whether something is over.
const OVER: Duration = Duration::from_secs(30);
/// How often it is looked whether calls are to be asked about blindly.
const BLIND: Duration = Duration::from_millis(2);
/// How often a hub or server that is away is complained of.
const COMPLAIN: Duration = Duration::from_mins(5);

/// The thread.
#[derive(Debug)]
pub struct Following {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Where the hub is asked blindly: the scoring thread's end.
    pub asker: Option<Asker>,
}

/// Takes a new index over.
pub type Put = Box<dyn Fn(Arc<Index>) + Send>;

impl Following {
    /// Starts; `put` gets every new index, the first one before this returns.
    ///
    /// # Errors
    /// [`ShareError`]: a folder that was not joined, a store that cannot be used.
    pub fn start(config: &ConsortiumConfig, put: Put) -> Result<Option<Self>, ShareError> {
        let Some(folder) = &config.folder else { return Ok(None) };
        let home = Home::open(folder)?;
        let stats = Arc::new(Stats::default());
        let mut follower = Follower::new(config.clone(), home, Arc::clone(&stats), put)?;
        follower.read()?;
        follower.hand_over();
        let asker = follower.blind.as_mut().and_then(|blind| blind.asker.take());
        let (stop, stopped) = oneshot::channel();
        let failed = |source| ShareError::File { path: folder.clone(), source };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let thread = std::thread::Builder::new().name("consortium".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = follower.run() => {}
                }
            });
            runtime.shutdown_background();
        });
        let thread = Some(thread.map_err(failed)?);
        Ok(Some(Self { stop: Some(stop), thread, stats, asker }))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the consortium's thread panicked");
        }
    }
}

/// What the thread has.
struct Follower {
    config: ConsortiumConfig,
    home: Home,
    store: Store,
    stats: Arc<Stats>,
    put: Put,
    guard: Guard,
    directory: Option<Directory>,
    /// Accusations that hold, by issuer and sequence.
    events: BTreeMap<(String, u64), Event>,
    count: HashMap<String, usize>,
    position: u64,
    /// When the server took the message at the position.
    position_at: u64,
    changed: bool,
    quiet: Quiet,
    index: Arc<Index>,
    blind: Option<Blind>,
}

/// Says the same trouble seldom.
#[derive(Debug, Default)]
struct Quiet(Option<(String, Instant)>);

impl Quiet {
    fn warn(&mut self, error: &ShareError) {
        let text = error.to_string();
        let again = |(said, at): &(String, Instant)| *said == text && at.elapsed() < COMPLAIN;
        if !self.0.as_ref().is_some_and(again) {
            log::warn!("consortium: {text}; calls are scored with what is known");
            self.0 = Some((text, Instant::now()));
        }
    }

    fn well(&mut self, what: &str) {
        if self.0.take().is_some() {
            log::info!("consortium: {what} again");
        }
    }
}

impl Follower {
    fn new(
        config: ConsortiumConfig,
        home: Home,
        stats: Arc<Stats>,
        put: Put,
    ) -> Result<Self, ShareError> {
        let store = home.store()?;
        let guard = Guard::new(config.bounds);
        Ok(Self {
            config,
            home,
            store,
            stats,
            put,
            guard,
            directory: None,
            events: BTreeMap::new(),
            count: HashMap::new(),
            position: 0,
            position_at: 0,
            changed: false,
            quiet: Quiet::default(),
            index: Arc::default(),
            blind: None,
        })
    }

    /// Takes up what the store has.
    fn read(&mut self) -> Result<(), ShareError> {
        let now = now();
        self.store.forget_before(now)?;
        self.position = self.store.position()?;
        self.position_at = self.store.position_at()?;
        if let Some(directory) = self.store.directory()? {
            if directory.mode == Mode::Blind {
                self.blind = Some(Blind::new()?);
            }
            self.learn(directory);
        }
        for (member, last) in self.store.sequences()? {
            self.guard.last(&member, last);
        }
        let mut rows = Vec::new();
        self.store.events(&mut |row| rows.push(row))?;
        for row in &rows {
            // They were judged when they came.
            if let Ok(signed) = Signed::decode(&row.bytes) {
                self.hold(signed.event);
            }
        }
        log::info!("consortium: {} events of the others are known", self.events.len());
        self.changed = true;
        Ok(())
    }

    /// Takes up what the hub tells.
    fn learn(&mut self, directory: Directory) {
        if self.directory.as_ref() == Some(&directory) {
            return;
        }
        for member in &directory.members {
            self.guard.member(&member.name, &member.key, member.revoked.is_some());
            if member.revoked.is_some() {
                self.forget_member(&member.name);
            }
        }
        self.guard.epochs(directory.checks());
        if let Some(blind) = &mut self.blind {
            let epochs: Vec<_> = directory.epochs.iter().map(|epoch| epoch.number).collect();
            blind.memory.keep(&epochs);
        }
        let current = directory.epochs.first().map_or(0, |epoch| epoch.number);
        self.stats.epoch.store(u64::from(current), Ordering::Relaxed);
        let members = directory.members.iter().filter(|member| member.revoked.is_none()).count();
        self.stats.members.store(members as u64, Ordering::Relaxed);
        if let Err(error) = self.store.set_directory(&directory) {
            log::error!("{error}");
        }
        log::info!("consortium: {members} members, epoch {current}");
        self.directory = Some(directory);
        self.changed = true;
    }

    fn forget_member(&mut self, name: &str) {
        let gone: Vec<_> =
            self.events.keys().filter(|(issuer, _)| issuer == name).cloned().collect();
        if !gone.is_empty() {
            log::info!("consortium: {name} was revoked, its {} events are forgotten", gone.len());
        }
        for key in gone {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &(String, u64)) {
        if self.events.remove(key).is_some() {
            if let Some(count) = self.count.get_mut(&key.0) {
                *count -= 1;
            }
            self.changed = true;
        }
        if let Err(error) = self.store.forget(&key.0, key.1) {
            log::error!("{error}");
        }
    }

    fn hold(&mut self, event: Event) {
        let issuer = event.issuer.clone();
        let count = self.count.entry(issuer.clone()).or_default();
        *count += 1;
        let full = *count > EVENTS;
        self.events.insert((issuer.clone(), event.sequence), event);
        if full {
            let first = self.events.range((issuer.clone(), 0)..).next().map(|(key, _)| key.clone());
            if let Some(key) = first.filter(|(of, _)| *of == issuer) {
                self.forget(&key);
            }
        }
        self.changed = true;
    }

    /// Judges a message of the stream, and does what it says.
    fn take(&mut self, message: &Stored) -> Result<(), ShareError> {
        let stored = message.at;
        match self.guard.judge(&message.member, &message.bytes, stored) {
            Err(why) => {
                self.stats.refused[why as usize].fetch_add(1, Ordering::Relaxed);
                log::debug!(
                    "consortium: a message of {} is refused: {}",
                    message.member,
                    why.name()
                );
                // Names that are not members' are not kept.
                let of = if why == Refusal::UnknownIssuer { "?" } else { &message.member };
                self.store.count(of, why.name(), 1)
            }
            Ok(event) => {
                self.stats.taken[event.kind as usize - 1].fetch_add(1, Ordering::Relaxed);
                self.store.count(&event.issuer, "taken", 1)?;
                self.store.take(&event, &message.bytes, stored)?;
                match event.kind {
                    Kind::Confirmed | Kind::Suspected if event.expires > now() => self.hold(event),
                    Kind::Confirmed | Kind::Suspected => {}
                    Kind::Cleared | Kind::Expired => self.withdraw(&event),
                }
                Ok(())
            }
        }
    }

    /// Forgets what an issuer withdraws: one event of its own, or all of one caller.
    fn withdraw(&mut self, event: &Event) {
        let from = (event.issuer.clone(), 0);
        let own = self.events.range(from..).take_while(|((issuer, _), _)| *issuer == event.issuer);
        let meant = own.filter(|((_, sequence), known)| {
            *sequence == event.refers || event.refers == 0 && known.subject.meets(&event.subject)
        });
        let gone: Vec<_> = meant.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.forget(&key);
        }
    }

    /// Whether a message that was stored later has a number that was there: the server
    /// has lost its stream, and counts from 1 again.
    fn began_anew(&self, message: &Stored) -> bool {
        message.number <= self.position && message.at > self.position_at
    }

    /// Takes messages as one change of the store, those that were read before left out.
    fn take_all(&mut self, messages: &[Stored]) -> Result<(), ShareError> {
        let new: Vec<_> =
            messages.iter().filter(|message| message.number > self.position).collect();
        let Some(last) = new.last() else { return Ok(()) };
        let before = self.position;
        self.store.begin()?;
        let taken = new.iter().try_for_each(|message| self.take(message));
        self.position = last.number;
        match taken.and_then(|()| self.store.commit(last.number, last.at)) {
            Ok(()) => {
                self.position_at = last.at;
                Ok(())
            }
            Err(error) => {
                // The messages come again, and must not be taken for replayed ones.
                self.store.roll_back();
                self.position = before;
                if let Ok(sequences) = self.store.sequences() {
                    self.guard.rewind(&sequences);
                }
                Err(error)
            }
        }
    }

    /// Makes the index anew.
    fn hand_over(&mut self) {
        self.changed = false;
        let Some(directory) = &self.directory else { return };
        let own = &*self.home.bundle.member;
        let trust: HashMap<&str, u8> =
            self.config.trust.iter().map(|(name, trust)| (&**name, *trust)).collect();
        let members = directory.members.iter().take(MEMBERS);
        let names = members.clone().map(|member| member.name.as_str().into()).collect();
        let places: HashMap<&str, (u8, u8)> = (0u8..)
            .zip(members)
            .filter(|(_, member)| member.name != own && member.revoked.is_none())
            .map(|(at, member)| {
                let trust = trust.get(&*member.name).copied().unwrap_or(member.trust);
                (&*member.name, (at, trust))
            })
            .filter(|(_, (_, trust))| *trust > 0)
            .collect();
        let keys = match &self.blind {
            None => directory.keys(),
            Some(blind) => vec![blind.memory.keys()],
        };
        let mut index = Index::new(keys, names, self.config.quorum);
        let now = now();
        for event in self.events.values().filter(|event| event.expires > now) {
            if let Some((organisation, trust)) = places.get(&*event.issuer) {
                let report = Report::of(event, *organisation, *trust);
                match &self.blind {
                    None => index.add(report, &event.subject),
                    Some(blind) => index.add(report, &blind.memory.subject(event)),
                }
            }
        }
        if let Some(blind) = &mut self.blind {
            let subjects = self.events.values().map(|event| &event.subject);
            let all = subjects.flat_map(|s| [s.number, s.network, s.fingerprint, s.sketch]);
            blind.wanted = all.flatten().collect();
        }
        self.stats.events.store(self.events.len() as u64, Ordering::Relaxed);
        self.stats.bytes.store(index.bytes() as u64, Ordering::Relaxed);
        self.index = Arc::new(index);
        (self.put)(Arc::clone(&self.index));
    }

    /// Asks the hub, at most once a second.
    async fn ask_hub(&mut self, hub: &Arc<HubClient>) {
        let asked = Arc::clone(hub);
        let answer = tokio::task::spawn_blocking(move || asked.directory()).await;
        match answer {
            Ok(Ok(directory)) => {
                if self.stats.hub.swap(1, Ordering::Relaxed) == 0 {
                    log::info!("consortium: the hub answers");
                }
                self.learn(directory);
            }
            Ok(Err(error)) => {
                self.stats.hub.store(0, Ordering::Relaxed);
                self.quiet.warn(&error);
            }
            Err(error) => log::error!("consortium: {error}"),
        }
    }

    async fn run(mut self) {
        let hub = match HubClient::new(&self.home.bundle) {
            Ok(hub) => Arc::new(hub),
            Err(error) => return log::error!("{error}; the consortium is not followed"),
        };
        self.ask_hub(&hub).await;
        let connection = match Connection::open(&self.home.bundle, true).await {
            Ok(connection) => connection,
            Err(error) => return log::error!("{error}; the consortium is not followed"),
        };
        let mut live = loop {
            match connection.client().subscribe(format!("{LIVE}*")).await {
                Ok(live) => break live,
                Err(error) => {
                    let what = error.to_string();
                    let url = self.home.bundle.nats.clone();
                    self.quiet.warn(&ShareError::Nats { url, what });
                    tokio::time::sleep(LOOK).await;
                }
            }
        };
        let mut refresh = tokio::time::interval(self.config.refresh);
        let mut look = tokio::time::interval(LOOK);
        let mut over = tokio::time::interval(OVER);
        for interval in [&mut refresh, &mut look, &mut over] {
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        let mut up = false;
        let nap = if self.blind.is_some() { BLIND } else { Duration::from_millis(100) };
        let mut soon = tokio::time::interval(nap);
        soon.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked_at = Instant::now();
        loop {
            tokio::select! {
                message = live.next() => {
                    let Some(message) = message else { return log::error!("consortium: the subscription ended") };
                    let Some(first) = Stored::of(&message) else { continue };
                    let mut messages = vec![first];
                    // What has come meanwhile is one change, and one index.
                    while messages.len() < 256 {
                        match futures::FutureExt::now_or_never(live.next()) {
                            Some(Some(message)) => messages.extend(Stored::of(&message)),
                            _ => break,
                        }
                    }
                    let news = messages.iter().any(|message| self.guard.is_news(&message.bytes));
                    if news && asked_at.elapsed() > Duration::from_secs(1) {
                        asked_at = Instant::now();
                        self.ask_hub(&hub).await;
                    }
                    if messages.iter().any(|message| self.began_anew(message)) {
                        log::warn!("consortium: the stream has begun anew; it is read from its start");
                        self.position = 0;
                    }
                    let gap = messages.first().is_some_and(|first| first.number > self.position + 1)
                        || messages.windows(2).any(|two| two[0].number + 1 != two[1].number);
                    let taken = if gap { self.catch_up(&connection).await } else { self.take_all(&messages) };
                    if let Err(error) = taken {
                        self.quiet.warn(&error);
                    }
                }
                _ = refresh.tick() => self.ask_hub(&hub).await,
                _ = look.tick() => {
                    match self.catch_up(&connection).await {
                        Ok(()) => self.quiet.well("the NATS server answers"),
                        Err(error) => self.quiet.warn(&error),
                    }
                    let lag = self.stats.lag.load(Ordering::Relaxed);
                    if let Err(error) = self.store.stands(up, lag) {
                        log::error!("{error}");
                    }
                }
                _ = over.tick() => {
                    let now = now();
                    if self.events.values().any(|event| event.expires <= now) {
                        self.events.retain(|_, event| event.expires > now);
                        self.count.clear();
                        for (issuer, _) in self.events.keys() {
                            *self.count.entry(issuer.clone()).or_default() += 1;
                        }
                        self.changed = true;
                        if let Err(error) = self.store.forget_before(now) {
                            log::error!("{error}");
                        }
                    }
                }
                _ = soon.tick() => self.ask_blindly(&hub).await,
            }
            let is = connection.health.up.load(Ordering::Acquire);
            if is != up {
                up = is;
                self.stats.connected.store(u64::from(is), Ordering::Relaxed);
                if is {
                    log::info!("consortium: connected to {}", self.home.bundle.nats);
                } else {
                    log::warn!(
                        "consortium: the NATS server is away; calls are scored with what is known"
                    );
                }
                // What was said meanwhile.
                look.reset_immediately();
            }
            if self.changed {
                self.hand_over();
            }
        }
    }

    /// Reads the stream from where this stands.
    async fn catch_up(&mut self, connection: &Connection) -> Result<(), ShareError> {
        if !connection.health.up.load(Ordering::Acquire) {
            return Ok(());
        }
        loop {
            let (messages, pending) = connection.fetch(self.position + 1).await?;
            self.stats.lag.store(pending, Ordering::Relaxed);
            if messages.is_empty() {
                return Ok(());
            }
            self.take_all(&messages)?;
            if self.changed {
                self.hand_over();
            }
            if pending == 0 {
                return Ok(());
            }
        }
    }
}
