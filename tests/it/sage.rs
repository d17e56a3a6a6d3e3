//! The Sage CRM connector.
