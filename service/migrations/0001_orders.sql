-- Ids are UUIDv7, so the primary key is also the order of creation that the list pages through.
create table orders (
    id uuid primary key,
    item text not null,
    quantity integer not null check (quantity > 0),
    amount bigint not null check (amount > 0),
    currency text not null,
    status text not null default 'open' check (status in ('open', 'cancelled')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create index orders_by_status on orders (status, id);
