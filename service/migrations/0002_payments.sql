-- What is being charged and has no answer yet. A row is there exactly as long as its order is
-- payment_pending; whoever deletes it settles the payment, so that happens once.
create table pending_payments (
    order_id uuid primary key references orders (id),
    -- The idempotency key that the provider is given: new with each attempt of the customer.
    attempt uuid not null,
    -- The request that began it, as a traceparent.
    cause text,
    tries integer not null default 0,
    due_at timestamptz not null
);

create index pending_payments_by_due on pending_payments (due_at);

-- What POST /v1/orders was asked under which Idempotency-Key, and the order it made.
create table idempotency_keys (
    owner text not null,
    key text not null,
    request jsonb not null,
    order_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (owner, key)
);

create index idempotency_keys_by_age on idempotency_keys (created_at);

-- not valid: rows that are there are looked at in the next migration, without holding up others.
alter table orders drop constraint orders_status_check;
alter table orders add constraint orders_status_check
    check (status in ('open', 'payment_pending', 'paid', 'cancelled')) not valid;
