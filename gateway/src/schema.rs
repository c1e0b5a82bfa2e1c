//! The fit of the store's schema with the one that this gateway knows, logged once for each change.
//!
//! Invariant: a gateway writes nothing into a store that it has not opened since its start, so that
//! nothing is written into a schema that it does not know.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use common::store::StoreError;

use crate::lock::locked;

/// The fit of the store's schema with the one that this gateway knows.
#[derive(Default)]
pub(crate) struct SchemaFit {
    is_open: AtomicBool,
    problem: Mutex<Option<String>>,
}

impl SchemaFit {
    /// The store has answered, and its schema is the one that is known.
    pub(crate) fn fits(&self) {
        self.is_open.store(true, Ordering::Release);
        if locked(&self.problem).take().is_some() {
            tracing::info!(event = "store_schema_fits");
        }
    }

    /// The store was not opened, because of its schema: what is known of tenants and keys serves
    /// on.
    pub(crate) fn refused(&self, misfit: &StoreError) {
        self.is_open.store(false, Ordering::Release);
        self.tell(misfit, "what is known of tenants and keys serves on, and no change of theirs is seen");
    }

    /// The schema was changed after the store was opened: changes are seen for as long as this
    /// connection stands.
    pub(crate) fn left_behind(&self, misfit: &StoreError) {
        self.tell(misfit, "changes are followed until the connection breaks");
    }

    /// The fault that an operator has to mend.
    pub(crate) fn problem(&self) -> Option<String> {
        locked(&self.problem).clone()
    }

    /// Refuses unless the store may be written to.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.is_open.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(match self.problem() {
            Some(problem) => StoreError::Refused(problem),
            None => StoreError::Unavailable {
                url: "(setting `store`)".into(),
                reason: "it has not answered since the start".into(),
            },
        })
    }

    fn tell(&self, misfit: &StoreError, consequence: &str) {
        let told = format!("{misfit}; {consequence}");
        let mut problem = locked(&self.problem);
        if problem.as_ref() != Some(&told) {
            tracing::warn!(event = "store_schema_misfit", error = %misfit, consequence);
            *problem = Some(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWER: StoreError = StoreError::SchemaNewer { found: 2, known: 1 };

    #[test]
    fn unknown_schema_refuses_writes() {
        let schema = SchemaFit::default();
        assert!(schema.check().is_err_and(|error| error.is_unreachable()));
        schema.fits();
        assert!(schema.check().is_ok() && schema.problem().is_none());
        schema.left_behind(&NEWER);
        assert!(schema.check().is_ok() && schema.problem().is_some());
        schema.refused(&NEWER);
        assert!(schema.check().is_err_and(|error| !error.is_unreachable()));
        schema.fits();
        assert!(schema.check().is_ok() && schema.problem().is_none());
    }
}
