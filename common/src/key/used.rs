//! Times at which keys were last used.

use crate::{
    id::KeyId,
    store::{
        Store, StoreError,
        bulk::{self, Value},
    },
    time::Micros,
};

impl Store {
    /// Notes when gateways last accepted keys. Each is named once; those that are not known are
    /// passed over, and nothing moves back.
    pub async fn touch_keys(&self, used: &[(KeyId, Micros)]) -> Result<(), StoreError> {
        // In one order, as gateways that note the same keys at once would else lock them crosswise.
        let mut used = used.to_vec();
        used.sort_unstable();
        let used: Vec<_> = used.iter().map(|(id, at)| [Value::Text(id.to_string()), Value::Number(at.0)]).collect();
        let (head, tail) = (
            "WITH used (id, at) AS (",
            ") UPDATE keys SET last_used_at = used.at FROM used WHERE keys.id = used.id \
             AND COALESCE(keys.last_used_at, 0) < used.at",
        );
        let mut write = self.begin_write().await?;
        bulk::execute(write.connection(), head, tail, &used).await?;
        write.commit().await
    }
}
