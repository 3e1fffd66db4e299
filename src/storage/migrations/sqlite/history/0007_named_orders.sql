-- A client's own ids belong to the Service User: its last orders of one id are looked up, however many others have used it.
DROP INDEX orders_client;
CREATE INDEX orders_named ON orders (account, service_user, cl_ord_id, closed_us, order_id) WHERE cl_ord_id IS NOT NULL;
