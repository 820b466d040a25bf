//! Saying something: signs an event, and hands it to the consortium's server.

use super::{
    Directory, Home, HubClient, Mode, ShareError, blind,
    event::{Category, Event, Kind, Pseudonym, Subject},
    nats,
    pseudonym::{Keys, Marks, Token},
};

/// What is said of a caller.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What.
    pub kind: Kind,
    /// Of which fraud.
    pub category: Category,
    /// How sure, 0–100.
    pub confidence: u8,
    /// Calls that are the evidence.
    pub evidence: u32,
    /// How long it holds, ms.
    pub holds: u64,
    /// The own event that is withdrawn; 0 for none.
    pub refers: u64,
}

/// A member that speaks.
#[derive(Debug)]
pub struct Publisher {
    home: Home,
    hub: HubClient,
    directory: Directory,
    connection: nats::Connection,
}

impl Publisher {
    /// Asks the hub for the current key and connects to its server.
    ///
    /// # Errors
    /// [`ShareError`].
    pub async fn open(home: Home) -> Result<Self, ShareError> {
        let hub = HubClient::new(&home.bundle)?;
        let directory = hub.directory()?;
        home.store()?.set_directory(&directory)?;
        let connection = nats::Connection::open(&home.bundle, false).await?;
        Ok(Self { home, hub, directory, connection })
    }

    /// Pseudonyms under the current epoch.
    ///
    /// # Errors
    /// [`ShareError`]: the hub evaluates no more for now.
    pub fn subject(&self, marks: &Marks) -> Result<Subject, ShareError> {
        let epoch = self.directory.current()?;
        match self.directory.mode {
            Mode::Keyed => {
                let keys = Keys::new(epoch.number, &epoch.key);
                marks.subject(|token| Ok(keys.of(token)))
            }
            Mode::Blind => marks.subject(|token: &Token| -> Result<Pseudonym, ShareError> {
                let made = blind::evaluate(&self.hub, epoch, std::slice::from_ref(token))?;
                made.into_iter()
                    .next()
                    .ok_or_else(|| ShareError::Crypto("the hub evaluated nothing".into()))
            }),
        }
    }

    /// Says it; the event's sequence. `about` is kept here alone, masked.
    ///
    /// # Errors
    /// [`ShareError`]: it names nobody, or the server did not take it; it is kept, and
    /// [`Self::send_rest`] sends it.
    pub async fn say(
        &self,
        words: Words,
        subject: Subject,
        about: &str,
    ) -> Result<u64, ShareError> {
        if words.kind.accuses() && subject.is_nobody() {
            return Err(ShareError::Invalid(
                "nobody can be found by this: it takes an international number that is the \
                 caller's own, or a call whose signalling tells who is behind it"
                    .into(),
            ));
        }
        let epoch = self.directory.current()?;
        let time = super::now();
        let mut event = Event {
            kind: words.kind,
            category: words.category,
            confidence: words.confidence.min(100),
            evidence: words.evidence,
            epoch: epoch.number,
            check: Keys::new(epoch.number, &epoch.key).check,
            sequence: 0,
            refers: words.refers,
            time,
            expires: time + words.holds,
            subject,
            issuer: self.home.bundle.member.clone(),
        };
        let key = self.home.key();
        let store = self.home.store()?;
        let bytes = store.say(&mut event, about, |event| event.sign(key))?;
        self.connection.publish(&event.issuer, event.sequence, bytes).await?;
        store.sent(event.sequence)?;
        Ok(event.sequence)
    }

    /// Sends what the server did not take earlier and is still fresh; how many.
    ///
    /// # Errors
    /// [`ShareError`].
    pub async fn send_rest(&self, skew: u64) -> Result<usize, ShareError> {
        let store = self.home.store()?;
        let mut sent = 0;
        for own in store.own()?.into_iter().filter(|own| !own.sent) {
            if own.at + skew > super::now() {
                self.connection.publish(&self.home.bundle.member, own.sequence, own.bytes).await?;
                sent += 1;
            }
            store.sent(own.sequence)?;
        }
        Ok(sent)
    }
}
