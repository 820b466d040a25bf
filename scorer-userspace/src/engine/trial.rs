//! A second model on trial beside the one that scores, and how both do on calls that
//! were labelled afterwards.

use std::sync::Arc;

use crate::model::{Model, Scratch};

/// Calls whose scores are remembered until a label comes.
const REMEMBERED: usize = 1 << 16;

/// What both models said of calls, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrialStats {
    /// Calls that the challenger scored, too.
    pub calls: u64,
    /// Of them, those that both find at least high, and that neither does.
    pub agree: u64,
    /// Those that only the champion finds at least high.
    pub champion_only: u64,
    /// Those that only the challenger does.
    pub challenger_only: u64,
    /// Sum of the differences of their scores, 0 to 100 each, without their sign.
    pub difference: f64,
    /// Labelled calls by model (champion, challenger), label (genuine, fraud), and
    /// whether the model found them at least high.
    pub labelled: [[[u64; 2]; 2]; 2],
}

/// Scores of one call; the challenger's is above 100 when it was not asked.
#[derive(Clone, Copy, Debug, Default)]
struct Scores {
    dialog: u64,
    champion: u8,
    challenger: u8,
}

const NOT_ASKED: u8 = u8::MAX;

/// Where the scores of calls are kept, and the challenger.
#[derive(Debug)]
pub(super) struct Trial {
    challenger: Option<Arc<Model>>,
    /// Of 2^32 calls, those it scores.
    share: u64,
    remembered: Box<[Scores]>,
    stats: TrialStats,
}

impl Trial {
    pub(super) fn new() -> Self {
        let remembered = vec![Scores::default(); REMEMBERED].into();
        Self { challenger: None, share: 0, remembered, stats: TrialStats::default() }
    }

    /// Another challenger, or none, for a share of calls from 0 to 1; gives back the one
    /// before. What was counted of it is forgotten.
    pub(super) fn set(&mut self, challenger: Option<Arc<Model>>, share: f64) -> Option<Arc<Model>> {
        self.share = (share * 4_294_967_296.0) as u64;
        self.stats = TrialStats::default();
        for scores in &mut self.remembered {
            scores.challenger = NOT_ASKED;
        }
        std::mem::replace(&mut self.challenger, challenger)
    }

    /// Takes a call that the champion has scored; `high` is where a high level begins.
    pub(super) fn call(
        &mut self,
        (dialog, call): (u64, u64),
        features: &[f32],
        champion: u8,
        high: u8,
        scratch: &mut Scratch,
    ) {
        let mut scores = Scores { dialog, champion, challenger: NOT_ASKED };
        // The call's key is a hash: any of its halves is a fair lot.
        if let Some(model) = self.challenger.as_ref().filter(|_| call >> 32 < self.share) {
            let challenger = (model.probability(features, scratch) * 100.0).round() as u8;
            scores.challenger = challenger;
            let stats = &mut self.stats;
            stats.calls += 1;
            stats.difference += f64::from(champion.abs_diff(challenger));
            match (champion >= high, challenger >= high) {
                (true, false) => stats.champion_only += 1,
                (false, true) => stats.challenger_only += 1,
                _ => stats.agree += 1,
            }
        }
        self.remembered[dialog as usize % REMEMBERED] = scores;
    }

    /// Takes the truth about a call, if its scores are still remembered.
    pub(super) fn label(&mut self, dialog: u64, fraud: bool, high: u8) {
        let scores = self.remembered[dialog as usize % REMEMBERED];
        if scores.dialog != dialog || dialog == 0 {
            return;
        }
        for (model, score) in [scores.champion, scores.challenger].into_iter().enumerate() {
            if score != NOT_ASKED {
                let found = usize::from(score >= high);
                self.stats.labelled[model][usize::from(fraud)][found] += 1;
            }
        }
    }

    pub(super) fn stats(&self) -> &TrialStats {
        &self.stats
    }

    pub(super) fn challenger(&self) -> Option<&Arc<Model>> {
        self.challenger.as_ref()
    }
}

impl TrialStats {
    /// Mean difference of the scores, 0 to 100.
    pub fn mean_difference(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.difference / self.calls as f64 }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Trial;
    use crate::{
        features::{COUNT, id, names},
        model::{Model, Scratch},
    };

    #[test]
    fn the_challenger_sees_its_share_and_both_are_judged_by_labels() {
        let model = Arc::new(Model::baseline(&names()).unwrap());
        let mut trial = Trial::new();
        let mut scratch = Scratch::default();
        let mut features = [f32::NAN; COUNT];
        features[usize::from(id::USER_AGENT_IS_SCANNER)] = 1.0;
        let own = (model.probability(&features, &mut scratch) * 100.0).round() as u8;
        trial.set(Some(Arc::clone(&model)), 0.25);
        let half = own / 2;
        for i in 0..1_000u64 {
            // Every fourth is below the share.
            let call = (i % 4) << 62;
            trial.call((i + 1, call), &features, half, own, &mut scratch);
        }
        let stats = *trial.stats();
        assert_eq!((stats.calls, stats.challenger_only, stats.agree), (250, 250, 0));
        assert!((stats.mean_difference() - f64::from(own - half)).abs() < 1e-9);

        trial.label(1, true, own);
        trial.label(2, false, own);
        trial.label(5_000, true, own);
        // The first was asked of both, the second of the champion only.
        assert_eq!(trial.stats().labelled, [[[1, 0], [1, 0]], [[0, 0], [0, 1]]]);
        trial.set(None, 1.0);
        assert_eq!(trial.stats().calls, 0);
    }
}
