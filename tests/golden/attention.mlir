module @attention {
  func.func public @main(%q: tensor<4x6xf32>, %k: tensor<4x6xf32>, %v: tensor<4x6xf32>, %mask: tensor<4x4xi1>) -> (tensor<f64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
    %attention = stablehlo.transpose %k, dims = [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
    %attention_0 = stablehlo.dot_general %q, %attention, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf32>, tensor<6x4xf32>) -> tensor<4x4xf32>
    %attention_1 = stablehlo.convert %attention_0 : (tensor<4x4xf32>) -> tensor<4x4xf64>
    %attention_2 = stablehlo.constant dense<2.4494897427831779> : tensor<4x4xf64>
    %attention_3 = stablehlo.divide %attention_1, %attention_2 : tensor<4x4xf64>
    %attention_4 = stablehlo.constant dense<-1.000000e+09> : tensor<4x4xf64>
    %attention_5 = stablehlo.select %mask, %attention_3, %attention_4 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_6 = stablehlo.constant dense<0xFFF0000000000000> : tensor<f64>
    %attention_7 = stablehlo.reduce(%attention_5 init: %attention_6) applies stablehlo.maximum across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_8 = stablehlo.compare NE, %attention_5, %attention_5, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_9 = stablehlo.constant dense<false> : tensor<i1>
    %attention_10 = stablehlo.reduce(%attention_8 init: %attention_9) applies stablehlo.or across dimensions = [1] : (tensor<4x4xi1>, tensor<i1>) -> tensor<4xi1>
    %attention_11 = stablehlo.constant dense<0x7FF8000000000000> : tensor<4xf64>
    %attention_12 = stablehlo.select %attention_10, %attention_11, %attention_7 : tensor<4xi1>, tensor<4xf64>
    %attention_13 = stablehlo.reshape %attention_12 : (tensor<4xf64>) -> tensor<4x1xf64>
    %attention_14 = stablehlo.broadcast_in_dim %attention_13, dims = [0, 1] : (tensor<4x1xf64>) -> tensor<4x4xf64>
    %attention_15 = stablehlo.subtract %attention_5, %attention_14 : tensor<4x4xf64>
    %attention_16 = stablehlo.exponential %attention_15 : tensor<4x4xf64>
    %attention_17 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_18 = stablehlo.reduce(%attention_16 init: %attention_17) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_19 = stablehlo.reshape %attention_18 : (tensor<4xf64>) -> tensor<4x1xf64>
    %attention_20 = stablehlo.broadcast_in_dim %attention_19, dims = [0, 1] : (tensor<4x1xf64>) -> tensor<4x4xf64>
    %attention_21 = stablehlo.divide %attention_16, %attention_20 : tensor<4x4xf64>
    %attention_22 = stablehlo.convert %v : (tensor<4x6xf32>) -> tensor<4x6xf64>
    %attention_23 = stablehlo.dot_general %attention_21, %attention_22, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf64>, tensor<4x6xf64>) -> tensor<4x6xf64>
    %attention_24 = stablehlo.slice %attention_23 [1:4, 0:5:2] : (tensor<4x6xf64>) -> tensor<3x3xf64>
    %attention_25 = stablehlo.multiply %attention_24, %attention_24 : tensor<3x3xf64>
    %attention_26 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_27 = stablehlo.reduce(%attention_25 init: %attention_26) applies stablehlo.add across dimensions = [0, 1] : (tensor<3x3xf64>, tensor<f64>) -> tensor<f64>
    %attention_28 = stablehlo.constant dense<9.000000e+00> : tensor<f64>
    %attention_29 = stablehlo.divide %attention_27, %attention_28 : tensor<f64>
    %attention_30 = stablehlo.constant dense<0.1111111111111111> : tensor<3x3xf64>
    %attention_31 = stablehlo.multiply %attention_30, %attention_24 : tensor<3x3xf64>
    %attention_32 = stablehlo.add %attention_31, %attention_31 : tensor<3x3xf64>
    %attention_33 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_34 = stablehlo.pad %attention_32, %attention_33, low = [1, 0], high = [0, 1], interior = [0, 1] : (tensor<3x3xf64>, tensor<f64>) -> tensor<4x6xf64>
    %attention_35 = stablehlo.dot_general %attention_34, %attention_22, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf64>, tensor<4x6xf64>) -> tensor<4x4xf64>
    %attention_36 = stablehlo.dot_general %attention_21, %attention_34, contracting_dims = [0] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf64>, tensor<4x6xf64>) -> tensor<4x6xf64>
    %attention_37 = stablehlo.convert %attention_36 : (tensor<4x6xf64>) -> tensor<4x6xf32>
    %attention_38 = stablehlo.constant dense<1.000000e+00> : tensor<4x4xf64>
    %attention_39 = stablehlo.divide %attention_38, %attention_20 : tensor<4x4xf64>
    %attention_40 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_41 = stablehlo.multiply %attention_35, %attention_39 : tensor<4x4xf64>
    %attention_42 = stablehlo.compare EQ, %attention_35, %attention_40, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_43 = stablehlo.select %attention_42, %attention_35, %attention_41 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_44 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_45 = stablehlo.multiply %attention_43, %attention_21 : tensor<4x4xf64>
    %attention_46 = stablehlo.compare EQ, %attention_43, %attention_44, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_47 = stablehlo.select %attention_46, %attention_43, %attention_45 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_48 = stablehlo.negate %attention_47 : tensor<4x4xf64>
    %attention_49 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_50 = stablehlo.reduce(%attention_48 init: %attention_49) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_51 = stablehlo.broadcast_in_dim %attention_50, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_52 = stablehlo.add %attention_43, %attention_51 : tensor<4x4xf64>
    %attention_53 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_54 = stablehlo.multiply %attention_52, %attention_16 : tensor<4x4xf64>
    %attention_55 = stablehlo.compare EQ, %attention_52, %attention_53, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_56 = stablehlo.select %attention_55, %attention_52, %attention_54 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_57 = stablehlo.negate %attention_56 : tensor<4x4xf64>
    %attention_58 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_59 = stablehlo.reduce(%attention_57 init: %attention_58) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_60 = stablehlo.broadcast_in_dim %attention_12, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_61 = stablehlo.compare LT, %attention_5, %attention_60, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_62 = stablehlo.not %attention_61 : tensor<4x4xi1>
    %attention_63 = stablehlo.convert %attention_62 : (tensor<4x4xi1>) -> tensor<4x4xf64>
    %attention_64 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_65 = stablehlo.reduce(%attention_63 init: %attention_64) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_66 = stablehlo.divide %attention_59, %attention_65 : tensor<4xf64>
    %attention_67 = stablehlo.broadcast_in_dim %attention_66, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_68 = stablehlo.broadcast_in_dim %attention_12, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_69 = stablehlo.compare LT, %attention_5, %attention_68, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_70 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_71 = stablehlo.select %attention_69, %attention_70, %attention_67 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_72 = stablehlo.add %attention_56, %attention_71 : tensor<4x4xf64>
    %attention_73 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_74 = stablehlo.select %mask, %attention_72, %attention_73 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_75 = stablehlo.constant dense<0.40824829046386307> : tensor<4x4xf64>
    %attention_76 = stablehlo.multiply %attention_74, %attention_75 : tensor<4x4xf64>
    %attention_77 = stablehlo.convert %attention_76 : (tensor<4x4xf64>) -> tensor<4x4xf32>
    %attention_78 = stablehlo.dot_general %attention_77, %attention, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf32>, tensor<6x4xf32>) -> tensor<4x6xf32>
    %attention_79 = stablehlo.dot_general %q, %attention_77, contracting_dims = [0] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf32>, tensor<4x4xf32>) -> tensor<6x4xf32>
    %attention_80 = stablehlo.transpose %attention_79, dims = [1, 0] : (tensor<6x4xf32>) -> tensor<4x6xf32>
    return %attention_29, %attention_78, %attention_80, %attention_37 : tensor<f64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>
  }
}
