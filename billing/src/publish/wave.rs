//! Which messages may be under way at once: of each key one, so that what comes under a key comes
//! in order whatever happens to single messages.

use std::collections::HashSet;

use super::Message;

/// Messages under keys that are all different.
#[derive(Default)]
pub(super) struct Wave {
    keys: HashSet<String>,
    messages: Vec<Message>,
}

impl Wave {
    /// Takes a message, or gives it back if one of its key is in the wave.
    pub(super) fn add(&mut self, message: Message) -> Result<(), Message> {
        if !self.keys.insert(message.key.clone()) {
            return Err(message);
        }
        self.messages.push(message);
        Ok(())
    }

    /// The messages, in the order of their changes.
    pub(super) fn into_messages(self) -> Vec<Message> {
        self.messages
    }
}
