//! The life of one alarm as a state machine, after ISA-18.2: the plant raises and returns it,
//! people acknowledge it, and while it is held (shelved, suppressed, out of service) it is quiet.

use crate::model::AlertState;

/// Why an alarm is kept quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hold {
    Shelved,
    Suppressed,
    OutOfService,
}

/// The three facts from which the state follows; no combination of them is illegal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Life {
    pub(crate) active: bool,
    pub(crate) acknowledged: bool,
    pub(crate) hold: Option<Hold>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The plant went wrong.
    Raise,
    /// It got worse while it was wrong.
    Worsen,
    /// The plant is in order again.
    Return,
    Acknowledge,
    Hold(Hold),
    Release,
    /// A person says what it was.
    Resolve,
}

/// What others must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing changed.
    Nothing,
    /// Changed, but held: nobody may be bothered.
    Quiet,
    /// Calls for attention.
    Annunciate,
    Acknowledged,
    Cleared,
    Held,
    Resolved,
}

/// Why an input cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Illegal {
    /// It is held: release it first.
    Held,
    /// It is not held.
    NotHeld,
    /// The alarm is over.
    Over,
}

impl Life {
    pub(crate) const NORMAL: Self = Self { active: false, acknowledged: true, hold: None };

    #[must_use]
    pub(crate) fn state(self) -> AlertState {
        match (self.hold, self.active, self.acknowledged) {
            (Some(Hold::Shelved), ..) => AlertState::Shelved,
            (Some(Hold::Suppressed), ..) => AlertState::Suppressed,
            (Some(Hold::OutOfService), ..) => AlertState::OutOfService,
            (None, true, false) => AlertState::Unacknowledged,
            (None, true, true) => AlertState::Acknowledged,
            (None, false, false) => AlertState::ReturnedUnacknowledged,
            (None, false, true) => AlertState::Normal,
        }
    }

    /// The life after `input`, and who must hear of it.
    pub(crate) fn step(self, input: Input) -> Result<(Self, Effect), Illegal> {
        let quiet_or = |effect| if self.hold.is_some() { Effect::Quiet } else { effect };
        match input {
            Input::Raise if self.active => Ok((self, Effect::Nothing)),
            Input::Raise => Ok((
                Self { active: true, acknowledged: false, ..self },
                quiet_or(Effect::Annunciate),
            )),
            Input::Worsen if !self.active => Ok((self, Effect::Nothing)),
            Input::Worsen => {
                Ok((Self { acknowledged: false, ..self }, quiet_or(Effect::Annunciate)))
            }
            Input::Return if !self.active => Ok((self, Effect::Nothing)),
            Input::Return => Ok((Self { active: false, ..self }, quiet_or(Effect::Cleared))),
            Input::Acknowledge if self.hold.is_some() => Err(Illegal::Held),
            Input::Acknowledge if self.acknowledged => Ok((self, Effect::Nothing)),
            Input::Acknowledge => Ok((Self { acknowledged: true, ..self }, Effect::Acknowledged)),
            Input::Hold(hold) => self.held(hold),
            Input::Release => self.released(),
            Input::Resolve if self == Self::NORMAL => Err(Illegal::Over),
            Input::Resolve => {
                Ok((Self { acknowledged: true, hold: None, ..self }, Effect::Resolved))
            }
        }
    }

    fn held(self, hold: Hold) -> Result<(Self, Effect), Illegal> {
        match self.hold {
            // Only a longer or other end of the same hold.
            Some(present) if present == hold => Ok((self, Effect::Held)),
            Some(_) => Err(Illegal::Held),
            None if hold == Hold::Shelved && self == Self::NORMAL => Err(Illegal::Over),
            None => Ok((Self { hold: Some(hold), ..self }, Effect::Held)),
        }
    }

    /// What stands when the hold ends calls for attention anew; what went by meanwhile is over.
    fn released(self) -> Result<(Self, Effect), Illegal> {
        if self.hold.is_none() {
            return Err(Illegal::NotHeld);
        }
        if self.active {
            let life = Self { active: true, acknowledged: false, hold: None };
            return Ok((life, Effect::Annunciate));
        }
        Ok((Self::NORMAL, Effect::Cleared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inputs() -> impl Strategy<Value = Input> {
        prop_oneof![
            Just(Input::Raise),
            Just(Input::Worsen),
            Just(Input::Return),
            Just(Input::Acknowledge),
            Just(Input::Hold(Hold::Shelved)),
            Just(Input::Hold(Hold::Suppressed)),
            Just(Input::Hold(Hold::OutOfService)),
            Just(Input::Release),
            Just(Input::Resolve),
        ]
    }

    /// The transitions ISA-18.2 draws, by the states they join.
    fn drawn(from: AlertState, input: Input, to: AlertState) -> bool {
        use AlertState as S;
        let held = |state| matches!(state, S::Shelved | S::Suppressed | S::OutOfService);
        match input {
            Input::Raise => match from {
                S::Normal | S::ReturnedUnacknowledged => to == S::Unacknowledged,
                _ => to == from,
            },
            Input::Worsen => to == from || (from == S::Acknowledged && to == S::Unacknowledged),
            Input::Return => match from {
                S::Unacknowledged => to == S::ReturnedUnacknowledged,
                S::Acknowledged => to == S::Normal,
                _ => to == from,
            },
            Input::Acknowledge => match from {
                S::Unacknowledged => to == S::Acknowledged,
                S::ReturnedUnacknowledged => to == S::Normal,
                _ => to == from && !held(from),
            },
            Input::Hold(_) => held(to),
            Input::Release => held(from) && matches!(to, S::Unacknowledged | S::Normal),
            Input::Resolve => matches!(to, S::Acknowledged | S::Normal),
        }
    }

    proptest! {
        #[test]
        fn only_drawn_transitions_happen(steps in prop::collection::vec(inputs(), 0..60)) {
            let mut life = Life::NORMAL;
            for input in steps {
                let Ok((next, effect)) = life.step(input) else { continue };
                prop_assert!(
                    drawn(life.state(), input, next.state()),
                    "{:?} --{input:?}--> {:?}", life.state(), next.state()
                );
                if effect == Effect::Nothing {
                    prop_assert_eq!(life, next);
                }
                life = next;
            }
        }

        #[test]
        fn what_is_held_never_annoys(steps in prop::collection::vec(inputs(), 0..60)) {
            let mut life = Life { active: true, acknowledged: false, hold: Some(Hold::Shelved) };
            for input in steps {
                if matches!(input, Input::Release | Input::Resolve) {
                    continue;
                }
                let Ok((next, effect)) = life.step(input) else { continue };
                prop_assert!(matches!(effect, Effect::Nothing | Effect::Quiet | Effect::Held));
                life = next;
            }
            prop_assert_eq!(life.state(), AlertState::Shelved);
        }

        #[test]
        fn an_acknowledgement_survives_until_it_comes_again_or_worsens(
            steps in prop::collection::vec(inputs(), 0..60)
        ) {
            let mut life = Life { active: true, acknowledged: true, hold: None };
            for input in steps {
                if matches!(input, Input::Worsen | Input::Release) {
                    continue;
                }
                let back = input == Input::Raise && !life.active;
                let Ok((next, _)) = life.step(input) else { continue };
                prop_assert!(next.acknowledged || back);
                if back {
                    break;
                }
                life = next;
            }
        }
    }

    #[test]
    fn a_shelved_alarm_that_stands_comes_back_loud() {
        let life = Life { active: true, acknowledged: true, hold: Some(Hold::Shelved) };
        let (life, effect) = life.step(Input::Release).unwrap();
        assert_eq!((life.state(), effect), (AlertState::Unacknowledged, Effect::Annunciate));
        assert_eq!(life.step(Input::Release), Err(Illegal::NotHeld));
        assert_eq!(Life::NORMAL.step(Input::Hold(Hold::Shelved)), Err(Illegal::Over));
    }
}
