//! Where records line up before they are written. Held only to push or to take all: never while anything is written.

use ambit_ledger::frame::{MAX_RECORD_BYTES, check_size};

use crate::{progress::AppendError, record::Record};

/// The line.
#[derive(Debug)]
pub(crate) struct Intake {
    records: Vec<Record>,
    /// The ticket of the next record.
    next: u64,
    /// Why no record is taken, if none is.
    shut: Option<AppendError>,
}

impl Intake {
    /// Begins with the ticket after the leaves that are there.
    pub(crate) fn new(next: u64) -> Self {
        Self { records: Vec::new(), next, shut: None }
    }

    /// Lines up a record and returns its ticket.
    pub(crate) fn push(&mut self, record: Record) -> Result<u64, AppendError> {
        if let Some(error) = &self.shut {
            return Err(error.clone());
        }
        check_size(record.bytes.len())
            .map_err(|size| AppendError::Size { bytes: size.bytes, limit: MAX_RECORD_BYTES })?;
        let ticket = self.next;
        self.next += 1;
        self.records.push(record);
        Ok(ticket)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes all records, leaving an empty batch with its capacity in their place.
    pub(crate) fn take_all(&mut self, batch: &mut Vec<Record>) {
        std::mem::swap(&mut self.records, batch);
    }

    /// Takes no more records; those in line stay.
    pub(crate) fn close(&mut self) {
        self.shut = Some(AppendError::Closed);
    }

    /// Takes no more records for this reason; hands out those in line and the ticket after them.
    pub(crate) fn shut(&mut self, why: AppendError) -> (Vec<Record>, u64) {
        self.shut = Some(why);
        (std::mem::take(&mut self.records), self.next)
    }

    /// Takes records again.
    pub(crate) fn reopen(&mut self) {
        self.shut = None;
    }
}
