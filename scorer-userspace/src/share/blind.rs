//! Blind pseudonyms: the hub evaluates a function of a number under its key without
//! learning the number (VOPRF of RFC 9497, ristretto255-SHA512), and proves that it used
//! the key all members know by its public half.

use rand_core::{CryptoRng, RngCore};
use ring::rand::{SecureRandom as _, SystemRandom};
use voprf::{BlindedElement, EvaluationElement, Proof, Ristretto255, VoprfClient, VoprfServer};

use super::{
    Epoch, HubClient, ShareError,
    event::{PSEUDONYM, Pseudonym},
    pseudonym::Token,
};

/// Tokens of one question at most.
pub const BATCH: usize = 64;
/// Bytes of an element.
pub const ELEMENT: usize = 32;
/// Stands in what the hub's keys are derived of.
const INFO: &[u8] = b"scorer consortium";

/// The system's random numbers, as the crate wants them.
#[derive(Debug)]
struct Random(SystemRandom);

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        // A guess at a blinding would tell the number: better none at all.
        self.0.fill(to).expect("the system has random numbers");
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(to);
        Ok(())
    }
}

impl CryptoRng for Random {}

fn failed(error: impl std::fmt::Debug) -> ShareError {
    ShareError::Crypto(format!("the blind evaluation fails: {error:?}"))
}

/// The hub's side: a key of an epoch.
#[derive(Debug)]
pub struct Evaluator(VoprfServer<Ristretto255>);

impl Evaluator {
    /// Of a seed.
    ///
    /// # Errors
    /// [`ShareError::Crypto`].
    pub fn new(seed: &[u8]) -> Result<Self, ShareError> {
        VoprfServer::new_from_seed(seed, INFO).map(Self).map_err(failed)
    }

    /// The public half.
    pub fn public(&self) -> Vec<u8> {
        use voprf::Group as _;
        Ristretto255::serialize_elem(self.0.get_public_key()).to_vec()
    }

    /// Evaluates blinded elements, with one proof for all of them.
    ///
    /// # Errors
    /// [`ShareError::Invalid`]: too many, or bytes that are no element.
    pub fn evaluate(&self, blinded: &[Vec<u8>]) -> Result<(Vec<Vec<u8>>, Vec<u8>), ShareError> {
        if blinded.is_empty() || blinded.len() > BATCH {
            return Err(ShareError::Invalid(format!("a question is of 1 to {BATCH} elements")));
        }
        let read = |bytes: &Vec<u8>| BlindedElement::<Ristretto255>::deserialize(bytes);
        let blinded: Vec<_> = blinded
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|_| ShareError::Invalid("what is asked is no element".into()))?;
        let mut random = Random(SystemRandom::new());
        let answer = self.0.batch_blind_evaluate(&mut random, &blinded).map_err(failed)?;
        let evaluated =
            answer.messages.iter().map(|element| element.serialize().to_vec()).collect();
        Ok((evaluated, answer.proof.serialize().to_vec()))
    }
}

/// Pseudonyms of tokens, by asking the hub blindly; its proof is checked.
///
/// # Errors
/// [`ShareError`]: the hub, or a proof that does not hold.
pub fn evaluate(
    hub: &HubClient,
    epoch: &Epoch,
    tokens: &[Token],
) -> Result<Vec<Pseudonym>, ShareError> {
    evaluate_by(&epoch.key, tokens, |blinded| hub.evaluate(epoch.number, blinded))
}

/// The same by whatever evaluates.
///
/// # Errors
/// [`ShareError`]: those of `ask`, or a proof that does not hold.
pub fn evaluate_by(
    public: &[u8],
    tokens: &[Token],
    ask: impl FnOnce(&[Vec<u8>]) -> Result<(Vec<Vec<u8>>, Vec<u8>), ShareError>,
) -> Result<Vec<Pseudonym>, ShareError> {
    use voprf::Group as _;
    let public = Ristretto255::deserialize_elem(public).map_err(failed)?;
    let mut random = Random(SystemRandom::new());
    let (mut states, mut blinded) = (Vec::new(), Vec::new());
    for token in tokens {
        let made =
            VoprfClient::<Ristretto255>::blind(token.as_bytes(), &mut random).map_err(failed)?;
        states.push(made.state);
        blinded.push(made.message.serialize().to_vec());
    }
    let (evaluated, proof) = ask(&blinded)?;
    if evaluated.len() != tokens.len() {
        return Err(ShareError::Crypto("the hub evaluated another number of elements".into()));
    }
    let evaluated: Vec<_> = evaluated
        .iter()
        .map(|bytes| EvaluationElement::<Ristretto255>::deserialize(bytes))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let proof = Proof::<Ristretto255>::deserialize(&proof).map_err(failed)?;
    let inputs: Vec<&[u8]> = tokens.iter().map(Token::as_bytes).collect();
    let outputs = VoprfClient::batch_finalize(&inputs, &states, &evaluated, &proof, public)
        .map_err(|_| {
            ShareError::Crypto("the hub's proof does not hold: it used another key".into())
        })?;
    outputs
        .map(|output| {
            let output = output.map_err(failed)?;
            let mut pseudonym = [0; PSEUDONYM];
            pseudonym.copy_from_slice(&output[..PSEUDONYM]);
            Ok(pseudonym)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Evaluator, evaluate_by};
    use crate::{number::Number, share::pseudonym::Token};

    #[test]
    fn the_same_for_everybody_and_never_under_another_key() {
        let hub = Evaluator::new(&[1; 32]).expect("a key");
        let token = |text: &str| {
            Token::number(&Number::parse(text.as_bytes(), None).expect("a number")).expect("E.164")
        };
        let tokens = [token("+441632960001"), token("+441632960002")];
        let ask = |tokens: &[Token]| evaluate_by(&hub.public(), tokens, |b| hub.evaluate(b));
        let both = ask(&tokens).expect("evaluated");
        assert_ne!(both[0], both[1]);
        assert_eq!(ask(&tokens[1..]).expect("evaluated"), both[1..]);
        // What goes over the wire is never twice the same, and not what comes of it.
        let mut wire = Vec::new();
        for _ in 0..2 {
            let kept = evaluate_by(&hub.public(), &tokens[..1], |blinded| {
                wire.push(blinded[0].clone());
                hub.evaluate(blinded)
            });
            assert_eq!(kept.expect("evaluated")[0], both[0]);
        }
        assert_ne!(wire[0], wire[1]);
        let other = Evaluator::new(&[2; 32]).expect("a key");
        let told = evaluate_by(&hub.public(), &tokens, |blinded| other.evaluate(blinded));
        assert!(told.is_err_and(|error| error.to_string().contains("proof does not hold")));
        assert!(hub.evaluate(&[vec![0xff; 32]]).is_err());
        assert!(hub.evaluate(&[]).is_err() && hub.evaluate(&vec![vec![0; 32]; 65]).is_err());
    }
}
