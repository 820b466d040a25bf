//! Telephone numbers: normalisation to E.164, masking.
