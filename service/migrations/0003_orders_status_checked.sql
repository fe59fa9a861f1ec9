-- In a migration of its own, as 0002 locks the table until it ends and this reads all of it.
alter table orders validate constraint orders_status_check;
