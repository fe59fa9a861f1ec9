// What a dashboard file may hold: Grafana's published types, closed where those are open. A panel's options depend on
// its type; its queries and the variables and annotations made of queries depend on the data source.
// To use another type of panel, import its types here and add a line to Panel.
import { AnnotationQuery, Dashboard, FieldConfig, Panel as AnyPanel, RowPanel, VariableModel } from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import * as logs from './node_modules/@grafana/schema/dist/types/raw/composable/logs/panelcfg/x/types.gen';
import * as stat from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import * as stateTimeline from './node_modules/@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen';
import * as table from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import * as timeseries from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';

// The types call every option with a default required; in a file it may be left out.
type Partly<T> = T extends (infer I)[] ? Partly<I>[] : T extends object ? { [K in keyof T]?: Partly<T[K]> } : T;

interface Source<Type extends string> { type: Type; uid: string }

// Queries. Since these data sources are plugins, their types are in no package: only the keys used are named.
interface Query<Type extends string> { refId: string; datasource: Source<Type>; hide?: boolean }
interface PrometheusQuery extends Query<'prometheus'> {
  expr: string;
  legendFormat?: string;
  range?: boolean;
  instant?: boolean;
  exemplar?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
  interval?: string;
  editorMode?: 'code' | 'builder';
}
interface LokiQuery extends Query<'loki'> {
  expr: string;
  queryType: 'range' | 'instant';
  legendFormat?: string;
  maxLines?: number;
  editorMode?: 'code' | 'builder';
}
interface JaegerQuery extends Query<'jaeger'> {
  queryType?: 'search' | 'dependencyGraph';
  query?: string;
  service?: string;
  operation?: string;
  tags?: string;
  minDuration?: string;
  maxDuration?: string;
  limit?: number;
}

interface Link { title: string; url: string; targetBlank?: boolean }
type Defaults<Custom> = Omit<FieldConfig, 'custom' | 'links'> & { custom?: Partly<Custom>; links?: Link[] };
interface Kind<Type extends string, Options, Custom> {
  type: Type;
  id: number;
  title: string;
  description: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: (PrometheusQuery | LokiQuery | JaegerQuery)[];
  options: Partly<Options>;
  fieldConfig: { defaults: Defaults<Custom>; overrides: NonNullable<AnyPanel['fieldConfig']>['overrides'] };
}
type Common = Omit<AnyPanel, keyof Kind<string, object, object>>;
type Panel =
  | (Common & Kind<'logs', logs.Options, {}>)
  | (Common & Kind<'stat', stat.Options, {}>)
  | (Common & Kind<'state-timeline', stateTimeline.Options, stateTimeline.FieldConfig>)
  | (Common & Kind<'table', table.Options, table.FieldConfig>)
  | (Common & Kind<'timeseries', timeseries.Options, timeseries.FieldConfig>);
type Row = Omit<RowPanel, 'panels'> & { panels: Panel[] };

interface Annotation extends Omit<AnnotationQuery, 'datasource' | 'target'> {
  datasource: Source<'prometheus'>;
  target: { refId: string; expr: string; interval?: string };
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
}
interface FromQuery extends Omit<VariableModel, 'type' | 'query'> {
  type: 'query';
  datasource: Source<'prometheus'>;
  query: { qryType: number; query: string; refId: string };
}
interface Fixed extends Omit<VariableModel, 'type' | 'query'> { type: 'custom' | 'textbox' | 'constant'; query: string }

export interface Checked extends Omit<Dashboard, 'annotations' | 'panels' | 'schemaVersion' | 'templating'> {
  uid: string;
  title: string;
  schemaVersion: 42;
  annotations: { list: Annotation[] };
  templating: { list: (FromQuery | Fixed)[] };
  panels: (Panel | Row)[];
}
