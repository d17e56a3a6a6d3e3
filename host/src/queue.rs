//! Durable queue, one entry per appointment.
