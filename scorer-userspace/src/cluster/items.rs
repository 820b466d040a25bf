//! What is shared beside counts: entries of lists, labels, cases, each by itself, so that
//! two hosts that change different ones at a time both have their way.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Stores;
use crate::{
    cases::{self, Attached, Case, CaseError, Note, Orders},
    hex::hex,
    labels::{Label, LabelError, Labels},
    lists::{List, Store, StoreError, Stored},
    policy::Response,
    profiles::Portrait,
    sqlite,
};
use scorer_common::verdict::Action;

/// Which one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Item {
    /// An entry of a list.
    Entry { list: String, value: String },
    /// A case, but for what hangs on it.
    Case { name: String },
    /// A profile of a case.
    Attached { case: String, profile: String },
    /// A note of a case.
    Note { case: String, at: i64, by: String, text: String },
    /// A label; of them none is ever changed.
    Label { call_id: String, fraud: bool, by: String, at: i64, weight: Bits, note: String },
}

/// A number that is compared by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Bits(u64);

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum State {
    /// An entry.
    Entry { reason: String, author: String, created: i64, expires: Option<i64>, from: String },
    /// A case.
    Case {
        status: String,
        method: String,
        action: String,
        response: u16,
        target: String,
        reason: String,
        author: String,
        created: i64,
    },
    /// A profile of a case.
    Attached { portrait: String, author: String, created: i64 },
    /// There it is: notes and labels.
    There { there: bool },
}

/// Why something cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ItemError {
    #[error(transparent)]
    Lists(#[from] StoreError),
    #[error(transparent)]
    Cases(#[from] CaseError),
    #[error(transparent)]
    Labels(#[from] LabelError),
    #[error("{0}")]
    Invalid(&'static str),
}

impl ItemError {
    /// Whether it is the item's fault, and not the disk's.
    pub(super) fn is_invalid(&self) -> bool {
        matches!(
            self,
            Self::Invalid(_)
                | Self::Lists(StoreError::Invalid(_))
                | Self::Cases(CaseError::Invalid(_))
                | Self::Labels(LabelError::Invalid(_))
        )
    }
}

impl Item {
    /// Of a label.
    pub(super) fn label(label: Label) -> Self {
        let Label { call_id, fraud, by, at, weight, note } = label;
        Self::Label { call_id, fraud, by, at, weight: Bits(weight.to_bits()), note }
    }

    /// A text that names it.
    pub(super) fn key(&self) -> String {
        // Of strings and numbers: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A short text that is another when the state is.
pub(super) fn hash(state: Option<&State>) -> String {
    let Some(state) = state else { return "-".to_owned() };
    let text = serde_json::to_string(state).unwrap_or_default();
    let digest = Sha256::digest(text.as_bytes());
    hex(&digest[..16])
}

/// A file that is open, and which it was: device and number.
type Open<T> = Option<(T, Option<(u64, u64)>)>;

/// The files, opened when they are first there, and anew when others take their place.
#[derive(Debug, Default)]
pub(super) struct Files {
    lists: Open<Store>,
    cases: Open<cases::Store>,
    labels: Open<Labels>,
}

fn opened<'a, T, E>(
    slot: &'a mut Open<T>,
    path: Option<&Path>,
    make: bool,
    open: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<Option<&'a mut T>, E> {
    let Some(path) = path else { return Ok(None) };
    let now = sqlite::identity(path);
    if slot.as_ref().is_some_and(|(_, then)| *then != now) {
        *slot = None;
    }
    if slot.is_none() && (make || now.is_some()) {
        let file = open(path)?;
        *slot = Some((file, sqlite::identity(path)));
    }
    Ok(slot.as_mut().map(|(file, _)| file))
}

/// Something that changed here: which, when (ms since 1970), and by whom.
pub(super) type Change = (Item, i64, String);

impl Files {
    pub(super) fn lists(
        &mut self,
        at: &Stores,
        make: bool,
    ) -> Result<Option<&mut Store>, ItemError> {
        Ok(opened(&mut self.lists, at.lists.as_deref(), make, Store::open)?)
    }

    fn cases(&mut self, at: &Stores, make: bool) -> Result<Option<&mut cases::Store>, ItemError> {
        Ok(opened(&mut self.cases, at.lists.as_deref(), make, cases::Store::open)?)
    }

    fn labels(&mut self, at: &Stores, make: bool) -> Result<Option<&mut Labels>, ItemError> {
        Ok(opened(&mut self.labels, at.labels.as_deref(), make, Labels::open)?)
    }

    /// Makes those that are configured and not there yet, so that nobody looks at one
    /// that is being made.
    pub(super) fn make(&mut self, at: &Stores) -> Result<(), ItemError> {
        self.lists(at, true)?;
        self.cases(at, true)?;
        self.labels(at, true)?;
        Ok(())
    }

    /// Changes behind what `cursors` (of lists, cases, labels) say, which move on.
    pub(super) fn changes(
        &mut self,
        at: &Stores,
        cursors: &mut [i64; 3],
        most: u32,
    ) -> Result<Vec<Change>, ItemError> {
        let mut changes = Vec::new();
        if let Some(store) = self.lists(at, false)? {
            for line in store.audit_after(cursors[0], most)? {
                cursors[0] = line.id;
                let item = Item::Entry { list: line.list, value: line.value };
                changes.push((item, line.at * 1_000, line.author));
            }
        }
        if let Some(store) = self.cases(at, false)? {
            for (id, name, change) in store.audit_after(cursors[1], most)? {
                cursors[1] = id;
                let when = change.at * 1_000;
                let item = match &*change.what {
                    "attach" => Item::Attached { case: name, profile: change.new },
                    "detach" => Item::Attached { case: name, profile: change.old },
                    "note" => {
                        let by = change.author.clone();
                        Item::Note { case: name, at: change.at, by, text: change.new }
                    }
                    _ => Item::Case { name },
                };
                changes.push((item, when, change.author));
            }
        }
        if let Some(store) = self.labels(at, false)? {
            for (id, label) in store.since(cursors[2], most)? {
                cursors[2] = id;
                let (when, by) = (label.at * 1_000, label.by.clone());
                changes.push((Item::label(label), when, by));
            }
        }
        Ok(changes)
    }

    /// How something is here; `None` where it is not, or no more.
    pub(super) fn state(&mut self, at: &Stores, item: &Item) -> Result<Option<State>, ItemError> {
        match item {
            Item::Entry { list, value } => {
                let list =
                    List::by_name(list).ok_or(ItemError::Invalid("there is no such list"))?;
                let Some(store) = self.lists(at, false)? else { return Ok(None) };
                Ok(store.get(list, value)?.map(|stored| {
                    let Stored { reason, author, created, expires, from, .. } = stored;
                    State::Entry { reason, author, created, expires, from }
                }))
            }
            Item::Case { name } => Ok(self.case(at, name)?.map(|case| State::Case {
                status: case.status.name().to_owned(),
                method: case.method,
                action: case.orders.action.map_or("policy", Action::name).to_owned(),
                response: case.orders.response.code(),
                target: case.orders.target,
                reason: case.orders.reason,
                author: case.author,
                created: case.created,
            })),
            Item::Attached { case, profile } => {
                let Some(case) = self.case(at, case)? else { return Ok(None) };
                let id = u64::from_str_radix(profile, 16).ok();
                let found = case.profiles.into_iter().find(|known| Some(known.profile) == id);
                Ok(found.map(|attached| State::Attached {
                    portrait: attached.portrait.to_json(),
                    author: attached.author,
                    created: attached.created,
                }))
            }
            Item::Note { case, at: when, by, text } => {
                let Some(case) = self.case(at, case)? else { return Ok(None) };
                let is = |note: &Note| note.at == *when && note.author == *by && note.text == *text;
                Ok(case.notes.iter().any(is).then_some(State::There { there: true }))
            }
            Item::Label { .. } => Ok(Some(State::There { there: true })),
        }
    }

    fn case(&mut self, at: &Stores, name: &str) -> Result<Option<Case>, ItemError> {
        let Some(store) = self.cases(at, false)? else { return Ok(None) };
        match store.case(name) {
            Ok(case) => Ok(Some(case)),
            Err(CaseError::Unknown(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Has something be as another host says; `by` had it so, at a time in seconds since
    /// 1970. The name of a case that was made for what hangs on it, if one was.
    pub(super) fn apply(
        &mut self,
        at: &Stores,
        item: &Item,
        state: Option<&State>,
        by: (&str, i64),
    ) -> Result<Option<String>, ItemError> {
        let contradiction = ItemError::Invalid("its state is of another kind");
        match (item, state) {
            (Item::Entry { list, value }, state) => {
                let list =
                    List::by_name(list).ok_or(ItemError::Invalid("there is no such list"))?;
                let entry = match state {
                    Some(State::Entry { reason, author, created, expires, from }) => Some(Stored {
                        list,
                        value: value.clone(),
                        reason: reason.clone(),
                        author: author.clone(),
                        created: *created,
                        expires: *expires,
                        from: from.clone(),
                    }),
                    None => None,
                    Some(_) => return Err(contradiction),
                };
                if let Some(store) = self.lists(at, true)? {
                    store.replicate(list, value, entry.as_ref(), by)?;
                }
            }
            (
                Item::Case { name },
                Some(State::Case {
                    status,
                    method,
                    action,
                    response,
                    target,
                    reason,
                    author,
                    created,
                }),
            ) => {
                let case = Case {
                    name: name.clone(),
                    status: cases::Status::by_name(status),
                    method: method.clone(),
                    orders: Orders {
                        action: Action::by_name(action),
                        response: Response::by_code(i64::from(*response)).unwrap_or_default(),
                        target: target.clone(),
                        reason: reason.clone(),
                    },
                    author: author.clone(),
                    created: *created,
                    changed: by.1,
                    profiles: Vec::new(),
                    notes: Vec::new(),
                };
                if let Some(store) = self.cases(at, true)? {
                    store.replicate(&case, by)?;
                }
            }
            (Item::Attached { case, profile }, state) => {
                let id = u64::from_str_radix(profile, 16)
                    .map_err(|_| ItemError::Invalid("a profile is 16 hex digits"))?;
                let Some(store) = self.cases(at, true)? else { return Ok(None) };
                let made = store.foreshadow(case, by)?;
                match state {
                    Some(State::Attached { portrait, author, created }) => {
                        let portrait = Portrait::from_json(portrait).unwrap_or_default();
                        let (author, created) = (author.clone(), *created);
                        store.attach(case, &Attached { profile: id, portrait, author, created })?;
                    }
                    None => {
                        store.detach(case, id, by)?;
                    }
                    Some(_) => return Err(contradiction),
                }
                return Ok(made.then(|| case.clone()));
            }
            (Item::Note { case, at: when, by: author, text }, Some(_)) => {
                let known = self.state(at, item)?.is_some();
                let Some(store) = self.cases(at, true)? else { return Ok(None) };
                let made = store.foreshadow(case, by)?;
                if !known {
                    store.note(case, text, (author, *when))?;
                }
                return Ok(made.then(|| case.clone()));
            }
            (Item::Label { call_id, fraud, by, at: when, weight, note }, Some(_)) => {
                let label = Label {
                    call_id: call_id.clone(),
                    fraud: *fraud,
                    by: by.clone(),
                    at: *when,
                    weight: f64::from_bits(weight.0),
                    note: note.clone(),
                };
                if let Some(store) = self.labels(at, true)? {
                    store.replicate(&label)?;
                }
            }
            // Cases, notes and labels are never taken away.
            (Item::Case { .. } | Item::Note { .. } | Item::Label { .. }, _) => {
                return Err(contradiction);
            }
        }
        Ok(None)
    }
}

/// Whether a file of what is shared is configured here.
pub(super) fn is_kept(at: &Stores, item: &Item) -> bool {
    match item {
        Item::Label { .. } => at.labels.is_some(),
        _ => at.lists.is_some(),
    }
}
