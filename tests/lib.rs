//! End-to-end tests; see `end_to_end/`.
