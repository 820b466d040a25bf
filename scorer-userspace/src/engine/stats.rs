//! Counters of calls.

use scorer_common::verdict::{Action, Level, Tag, Tags};

use crate::{policy::Decision, sip::ParseError, verdict::Effect};

/// What became of the messages, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// INVITEs, all kinds.
    pub invites: u64,
    /// INVITEs within a dialog.
    pub reinvites: u64,
    /// INVITEs seen once more from the same sender.
    pub retransmissions: u64,
    /// INVITEs of a known call on another branch: forks and further hops.
    pub forked: u64,
    /// Verdicts on further attempts of a call, as after authentication.
    pub attempts_again: u64,
    /// Messages that tell how calls go.
    pub events: u64,
    /// Of these, messages of calls that are not known.
    pub strangers: u64,
    /// Verdicts by [`Level`].
    pub by_level: [u64; Level::ALL.len()],
    /// Verdicts by [`Tag`].
    pub by_tag: [u64; Tag::ALL.len()],
    /// Verdicts by [`Action`].
    pub by_action: [u64; Action::ALL.len()],
    /// Verdicts held back since the policy only observes, by [`Action`].
    pub observed: [u64; Action::ALL.len()],
    /// Calls that lists named, by [`Effect`].
    pub by_effect: [u64; Effect::ALL.len()],
    /// Messages that could not be read, by [`ParseError`].
    pub parse_failures: [u64; ParseError::ALL.len()],
}

/// One counter with its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Name.
    pub name: &'static str,
    /// What is counted.
    pub help: &'static str,
    /// Label and its value, where the name has several.
    pub label: Option<(&'static str, &'static str)>,
    /// Count.
    pub value: u64,
}

impl EngineStats {
    /// Verdicts, all.
    pub fn verdicts(&self) -> u64 {
        self.by_level.iter().sum()
    }

    pub(super) fn verdict(
        &mut self,
        level: Level,
        tags: Tags,
        decision: &Decision<'_>,
        effect: Option<Effect>,
    ) {
        self.by_level[level as usize] += 1;
        self.by_action[decision.action as usize] += 1;
        if let Some(would) = &decision.would {
            self.observed[would.action as usize] += 1;
        }
        if let Some(effect) = effect {
            self.by_effect[effect as usize] += 1;
        }
        for tag in tags.iter() {
            self.by_tag[tag as usize] += 1;
        }
    }

    pub(super) fn parse_failure(&mut self, error: ParseError) {
        let index = ParseError::ALL.iter().position(|known| *known == error);
        self.parse_failures[index.unwrap_or_default()] += 1;
    }

    /// Every counter.
    pub fn iter(&self) -> impl Iterator<Item = Sample> {
        let plain = |name, help, value| Sample { name, help, label: None, value };
        let plain = [
            plain("invites", "INVITEs, all kinds.", self.invites),
            plain("reinvites", "INVITEs within a dialog.", self.reinvites),
            plain("retransmissions", "INVITEs seen once more.", self.retransmissions),
            plain("forked", "INVITEs of a known call on another branch.", self.forked),
            plain("attempts_again", "Further attempts of a call.", self.attempts_again),
            plain("dialog_events", "Messages that tell how calls go.", self.events),
            plain("dialog_strangers", "Of these, messages of unknown calls.", self.strangers),
        ];
        let labelled = |name, help, key| {
            move |(value, count): (&'static str, u64)| Sample {
                name,
                help,
                label: Some((key, value)),
                value: count,
            }
        };
        let levels = Level::ALL.map(Level::name).into_iter().zip(self.by_level);
        let tags = Tag::ALL.iter().map(|tag| tag.name()).zip(self.by_tag);
        let actions = || Action::ALL.map(Action::name).into_iter();
        let done = actions().zip(self.by_action);
        let observed = actions().zip(self.observed);
        let effects = Effect::ALL.map(Effect::name).into_iter().zip(self.by_effect);
        let failures = ParseError::ALL.map(ParseError::name).into_iter().zip(self.parse_failures);
        plain
            .into_iter()
            .chain(levels.map(labelled("verdicts", "Verdicts by level.", "level")))
            .chain(tags.map(labelled("verdict_tags", "Verdicts by tag.", "tag")))
            .chain(done.map(labelled("verdict_actions", "Verdicts by action.", "action")))
            .chain(observed.map(labelled(
                "observed_actions",
                "Actions held back since the policy only observes.",
                "action",
            )))
            .chain(effects.map(labelled(
                "listed_calls",
                "Calls that lists named, by what that did to the score.",
                "effect",
            )))
            .chain(failures.map(labelled(
                "parse_failures",
                "SIP messages that could not be read, by cause.",
                "cause",
            )))
    }
}
