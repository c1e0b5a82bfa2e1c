/** Types of events, which the API's document has as texts; a test compares them with the program's. */
export const EVENTS = [
  'invoice.finalized',
  'invoice.paid',
  'invoice.voided',
  'invoice.uncollectible',
  'invoice.unpaid',
  'credit_note.created',
  'payment.succeeded',
  'payment.failed',
  'payment.action_required',
  'payment.refunded',
  'payment.disputed',
  'payment.dispute_closed',
  'usage.threshold_reached',
  'key.expiring',
  'subscription.changed',
  'webhook_endpoint.disabled',
] as const;
