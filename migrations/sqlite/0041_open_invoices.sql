-- Invoices that are to be paid are looked at each minute: among all that there ever were, they are few.
CREATE INDEX invoices_open ON invoices (seq) WHERE status = 'finalized' AND open > 0;
