//! Exchange by EWS.
