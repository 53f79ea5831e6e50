// What the model found: a writer whose connection is lost as it closes gives its
// name free all the same. Else the next holder waits until the lease runs out.

import t from "tap";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { openStore } from "./world.ts";

/** Ends the first connection that gives a name free; a sequence isn't rolled back. */
const TRIGGER = `
  CREATE SEQUENCE releases;
  CREATE FUNCTION cut_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('releases') = 1 THEN
      PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER cut_off BEFORE UPDATE ON headwater_instances FOR EACH ROW
    WHEN (NEW.expires_ms = 0) EXECUTE FUNCTION cut_off()`;

t.test("a writer that is cut off as it closes gives its name free", async (t) => {
  const database = await postgresDatabase(t);
  const writer = await openStore(database, "cut", undefined);
  const server = await sharedPostgres();
  await server.run(TRIGGER, database);
  await writer.close();
  const [row] = await server.run("SELECT is_called FROM releases", database);
  t.equal(row?.[0], true, "it was cut off");
  const open = openStore(database, "cut", undefined);
  t.teardown(() => open.then((next) => next.close(), () => {}));
  t.equal(
    (await open.catch(({ code }) => ({ instance: code }))).instance,
    "cut",
  );
});
