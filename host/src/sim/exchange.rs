//! An Exchange server that speaks EWS.
