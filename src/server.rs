//! The only file that joins the parts; start and stop order.
