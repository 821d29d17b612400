#include "db/signing_keys.h"

#include "db/transaction.h"

namespace atelier::db {

Status insert_signing_key(Transaction& transaction, const SigningKey& key) {
  return guarded(transaction, "insert a signing key", [&]() -> Status {
    const Number created_at = to_number(key.created_at);
    transaction.sql()
        << "insert into signing_keys (kid, private_key, created_at) values (:kid, :private_key, :created)",
        soci::use(key.kid, "kid"), soci::use(key.private_key, "private_key"), soci::use(created_at, "created");
    return {};
  });
}

Result<std::vector<SigningKey>> list_signing_keys(Transaction& transaction) {
  return guarded(transaction, "list signing keys", [&]() -> Result<std::vector<SigningKey>> {
    SigningKey key;
    Number created_at = 0;
    soci::statement statement = (transaction.sql().prepare << "select kid, private_key, created_at from signing_keys"
                                                              " order by created_at desc, kid limit 100",
                                 soci::into(key.kid), soci::into(key.private_key), soci::into(created_at));
    statement.execute();
    std::vector<SigningKey> keys;
    while (statement.fetch()) {
      key.created_at = to_time(created_at);
      keys.push_back(key);
    }
    return keys;
  });
}

}  // namespace atelier::db
